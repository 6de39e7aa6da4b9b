//! Our own Python client: its tests against the built binary, and its types.

use super::tools::{python, run};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/python");

/// Mostly they wait, so those that wait longest run beside the others.
const APART: [&str; 2] = ["tests/test_fork.py", "tests/test_wait.py"];
const PLUGINS: &str = "tests/test_plugins.py";
const ASYNCIO: [&str; 4] =
    ["tests/test_aio_locks.py", "tests/test_aio_modes.py", "tests/test_aio_tasks.py", "tests/test_aio_trouble.py"];

#[test]
fn python_client_passes_its_tests() {
    let elsewhere = APART.iter().chain(&ASYNCIO).chain([&PLUGINS]);
    pytest(&elsewhere.map(|file| format!("--ignore={file}")).collect::<Vec<_>>());
}

#[test]
fn python_client_passes_its_tests_of_forks() {
    pytest(&[APART[0].to_owned()]);
}

#[test]
fn its_tests_of_waits_pass() {
    pytest(&[APART[1].to_owned()]);
}

#[test]
fn python_client_for_asyncio_passes_its_tests() {
    pytest(&ASYNCIO.map(str::to_owned));
}

#[test]
fn plugins_pass_their_tests_with_the_libraries() {
    pytest(&[PLUGINS.to_owned()]);
}

fn pytest(arguments: &[String]) {
    let mut command = python("pytest");
    command.args(["-q", "-p", "no:cacheprovider"]).args(arguments).current_dir(CLIENT);
    run(command.env("LATCHD_BINARY", env!("CARGO_BIN_EXE_latchd")).env("PYTHONDONTWRITEBYTECODE", "1"));
}

#[test]
fn python_client_passes_mypy() {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/mypy");
    run(python("mypy").arg("--cache-dir").arg(cache).current_dir(CLIENT));
}
