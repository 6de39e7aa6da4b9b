//! What others' tools make of our OpenAPI document: a linter, and generators of clients in Python and TypeScript, which
//! send the README's own requests.

use super::tools::{both, node, output, python, run};
use crate::support::certificate::pair;
use crate::support::spec::Spec;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/latchd.json");
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python");
const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node");

#[test]
fn redocly_has_no_error_and_no_warning() {
    let mut command = node("redocly");
    // It asks nobody for a newer version, and tells nobody of this one.
    command.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    let output = output(command.args(["lint", "--format", "stylish", DOCUMENT]));
    let said = both(&output);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
    assert!(said.contains("Your API description is valid"), "{said}");
}

#[test]
fn generated_python_client_sends_readme_requests() {
    let server = Spec::in_memory().start();
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let mut command = python("python");
    command.arg(format!("{PYTHON}/openapi_client.py")).arg(DOCUMENT);
    command.arg(format!("{PYTHON}/openapi-python-client.yml"));
    command.arg(format!("https://localhost:{}", server.https().port())).arg(&pair().certificate);
    let said = run(command.arg(folder.path().join("client")));
    assert!(said.trim_end().ends_with("all passed"), "{said}");
}

#[test]
fn generated_typescript_client_compiles_and_sends_readme_requests() {
    let server = Spec::in_memory().start();
    // Beside the installed packages, where they are found.
    let folder = tempfile::tempdir_in(super::tools::NODE).expect("a temporary directory can be made");
    for file in ["readme.ts", "tsconfig.json"] {
        std::fs::copy(format!("{NODE}/{file}"), folder.path().join(file)).expect("it can be copied");
    }
    run(node("openapi-typescript").arg(DOCUMENT).arg("--output").arg(folder.path().join("latchd.d.ts")));
    run(node("tsc").arg("--project").arg(folder.path()));
    let mut command = python("node");
    command.arg(folder.path().join("readme.js")).arg(format!("https://localhost:{}", server.https().port()));
    let said = run(command.env("NODE_EXTRA_CA_CERTS", &pair().certificate));
    assert!(said.trim_end().ends_with("all passed"), "{said}");
}
