//! Python clients generated from our `.proto` files with grpcio-tools, against the started binary.

use super::tools::{python, run};
use crate::support::spec::Spec;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/generated.py");
const PROTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/grpc/proto");
const PASSWORD: &str = "sesame: open";

#[test]
fn generated_clients_drive_every_service_and_probe_its_health() {
    let server =
        Spec::in_memory().configuration("[locks]\nkufuli_wait = \"1500ms\"\nkufuli_max_lock_span = \"2s\"\n").start();
    let guarded = Spec::in_memory().password(PASSWORD).start();
    let mut command = python("python");
    command.args([SCRIPT, PROTO, &server.http().to_string(), &guarded.http().to_string(), PASSWORD]);
    let said = run(command.arg(guarded.pid().to_string()));
    assert!(said.trim_end().ends_with("all passed"), "{said}");
}
