//! Our own Python client: its tests against the built binary, and its types.

use super::tools::{python, run};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/python");

#[test]
fn its_tests_pass() {
    let mut command = python("pytest");
    command.args(["-q", "-p", "no:cacheprovider"]).current_dir(CLIENT);
    run(command.env("LATCHD_BINARY", env!("CARGO_BIN_EXE_latchd")).env("PYTHONDONTWRITEBYTECODE", "1"));
}

#[test]
fn its_types_are_sound() {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/mypy");
    run(python("mypy").arg("--cache-dir").arg(cache).current_dir(CLIENT));
}
