//! The published lock libraries of Python, Node.js and Go against the Redis protocol of the started binary.

use super::tools::{NODE, go, python, run};
use crate::support::certificate::pair;
use crate::support::process::Server;
use crate::support::spec::Spec;
use sha2::{Digest, Sha256};

const ADMIN: &str = "admin-key-of-the-tests";
const USER: &str = "user-key-of-the-tests";
const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

fn start(scheme: &str) -> Server {
    let digest: String = Sha256::digest(USER).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("{{ name = \"user\", sha256 = \"{digest}\", role = \"client\", prefixes = [\"user/\"] }}");
    let spec = Spec::in_memory().configuration(format!("[access]\nkeys = [{key}]\n")).api_key(ADMIN);
    spec.argument("--listen").argument(format!("{scheme}://127.0.0.1:0")).start()
}

fn passed(said: &str) {
    assert!(said.trim_end().ends_with("all passed"), "{said}");
}

#[test]
fn libraries_of_python_lock_over_plaintext() {
    let server = start("redis");
    let url = |key| format!("redis://:{key}@{}", server.redis());
    passed(&run(python("python").arg(format!("{TESTS}/python/redis_locks.py")).args([url(ADMIN), url(USER)])));
}

#[test]
fn libraries_of_python_lock_over_tls() {
    let server = start("rediss");
    let authority = pair().certificate.display().to_string();
    let url = |key| format!("rediss://:{key}@localhost:{}?ssl_ca_certs={authority}", server.rediss().port());
    passed(&run(python("python").arg(format!("{TESTS}/python/redis_locks.py")).args([url(ADMIN), url(USER)])));
}

#[test]
fn libraries_of_nodejs_lock() {
    let server = start("redis");
    // Beside the installed packages, where they are found.
    let folder = tempfile::tempdir_in(NODE).expect("a temporary directory can be made");
    let script = folder.path().join("redis_locks.mjs");
    std::fs::copy(format!("{TESTS}/node/redis_locks.mjs"), &script).expect("it can be copied");
    passed(&run(python("node").arg(script).arg(format!("redis://:{ADMIN}@{}", server.redis()))));
}

#[test]
fn libraries_of_go_lock() {
    let server = start("redis");
    let mut command = go("tests/go/redis");
    passed(&run(command.args(["run", "."]).arg(format!("redis://:{ADMIN}@{}", server.redis()))));
}
