//! Python clients generated from our `.proto` files with grpcio-tools, against the started binary.

use super::tools::{python, run};
use crate::support::spec::Spec;
use std::path::Path;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/generated.py");
const PROTOS: [&str; 5] = [
    "api/grpc/proto/health.proto",
    "dialects/kufuli/proto/kufuli.proto",
    "dialects/ldlm/proto/ldlm.proto",
    "dialects/lockd/proto/lockd.proto",
    "dialects/raftlock/proto/raftlock.proto",
];
const PASSWORD: &str = "sesame: open";

#[test]
fn generated_clients_drive_every_service_and_probe_its_health() {
    let server =
        Spec::in_memory().configuration("[locks]\nkufuli_wait = \"6s\"\nkufuli_max_lock_span = \"10s\"\n").start();
    let guarded = Spec::in_memory().password(PASSWORD).start();
    let protos = tempfile::tempdir().expect("a temporary directory");
    for proto in PROTOS {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(proto);
        let name = from.file_name().expect("a file");
        std::fs::copy(&from, protos.path().join(name)).expect("the file can be copied");
    }
    let mut command = python("python");
    command.args([
        SCRIPT,
        &protos.path().display().to_string(),
        &server.http().to_string(),
        &guarded.http().to_string(),
        PASSWORD,
    ]);
    let said = run(command.arg(guarded.pid().to_string()));
    assert!(said.trim_end().ends_with("all passed"), "{said}");
}
