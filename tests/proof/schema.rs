//! schemathesis drives what `/openapi.json` promises: never a 5xx, never a status that is not documented.

use super::tools::{both, output, python};
use crate::support::certificate::pair;
use crate::support::spec::Spec;

const API_KEY: &str = "key-for-schemathesis";
/// Cases for each operation and phase; with the wait limit they take about two minutes.
const EXAMPLES: &str = "40";
/// Fixed, so that CI says the same about the same server twice.
const SEED: &str = "20240229";

#[test]
fn the_openapi_document_keeps_its_promises() {
    let server = Spec::in_memory().api_key(API_KEY).configuration("[locks]\nwait_max = \"1s\"\n").start();
    let base = format!("https://localhost:{}", server.https().port());
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let mut command = python("schemathesis");
    command.current_dir(home.path());
    command.arg("run").arg(format!("{base}/openapi.json")).args(["--url", &base]);
    command.args(["--header", &format!("X-API-Key: {API_KEY}")]);
    command.args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"]);
    command.args(["--seed", SEED, "--max-examples", EXAMPLES, "--workers", "2", "--generation-database", "none"]);
    command.args(["--request-timeout", "15", "--no-color"]);
    command.arg("--tls-verify").arg(&pair().certificate);
    let output = output(&mut command);
    println!("schemathesis --seed {SEED}");
    assert!(
        output.status.success(),
        "schemathesis ended with {}:\n{}\n{}",
        output.status,
        both(&output),
        server.stderr()
    );
    let log = server.stderr();
    assert!(!log.contains("panicked"), "{log}");
}
