//! schemathesis drives what `/openapi.json` promises: never a 5xx, never a status, type or body that is not documented.

use super::tools::{both, output, python};
use crate::support::certificate::pair;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

const API_KEY: &str = "key-for-schemathesis";
/// Fixed, so that CI says the same about the same server twice.
const SEED: &str = "20240229";
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

#[test]
fn openapi_document_matches_served_answers() {
    let server = Spec::in_memory().api_key(API_KEY).configuration("[locks]\nwait_max = \"1s\"\n").start();
    // With a session, or most of what is generated would only be told that it has none.
    let mut client = Client::tls(&server).with_header("X-API-Key", API_KEY);
    client.send("POST", "/session", b"");
    let cookie = format!("Cookie: ldlm-session={}", client.cookie("ldlm-session").expect("a session has a cookie"));
    // The stream of events has no end, which this tool waits for.
    drive(
        &server,
        &["--exclude-path", "/v1/events", "--exclude-path", "/session", "--max-examples", "40", "--header", &cookie],
    );
    // The calls that end a session run apart, without one that others need.
    drive(&server, &["--include-path", "/session", "--max-examples", "15"]);
    let log = server.stderr();
    assert!(!log.contains("panicked"), "{log}");
}

fn drive(server: &Server, arguments: &[&str]) {
    let base = format!("https://localhost:{}", server.https().port());
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let mut command = python("schemathesis");
    command.current_dir(home.path());
    command.arg("run").arg(format!("{base}/openapi.json")).args(["--url", &base]);
    command.args(["--header", &format!("X-API-Key: {API_KEY}")]);
    command.args(["--checks", CHECKS, "--seed", SEED, "--workers", "2", "--generation-database", "none"]);
    command.args(["--request-timeout", "15", "--no-color"]);
    command.arg("--tls-verify").arg(&pair().certificate).args(arguments);
    let output = output(&mut command);
    let said = both(&output);
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}\n{}", output.status, server.stderr());
    println!(
        "{}",
        said.lines()
            .filter(|line| line.contains("passed") || line.contains("generated"))
            .collect::<Vec<_>>()
            .join("\n")
    );
}
