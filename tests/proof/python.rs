//! Python `requests` against the started binary, over HTTPS.

use super::tools::{python, run};
use crate::support::certificate::pair;
use crate::support::spec::Spec;

#[test]
fn requests_speaks_every_dialect() {
    let server = Spec::in_memory().api_key("key-of-the-tour").start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/dialects.py");
    let mut command = python("python");
    command.arg(script).arg(format!("https://localhost:{}", server.https().port())).arg("key-of-the-tour");
    command.env("REQUESTS_CA_BUNDLE", &pair().certificate);
    let said = run(&mut command);
    assert!(said.trim_end().ends_with("all passed"), "{said}");
}
