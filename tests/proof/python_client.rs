//! Our own Python client: its tests against the built binary, and its types.

use super::tools::{python, run};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/python");

/// Mostly they wait, so these run beside the others.
const APART: [&[&str]; 5] = [
    &["tests/test_fork.py"],
    &["tests/test_wait.py"],
    &["tests/test_answers.py", "tests/test_trouble.py"],
    &[
        "tests/test_aio_locks.py",
        "tests/test_aio_modes.py",
        "tests/test_aio_operators.py",
        "tests/test_aio_tasks.py",
        "tests/test_aio_trouble.py",
    ],
    &["tests/test_plugins.py"],
];

#[test]
fn python_client_passes_its_tests_for_threads_asyncio_and_plugins() {
    std::thread::scope(|scope| {
        for files in APART {
            scope.spawn(move || pytest(files));
        }
        let others: Vec<String> = APART.concat().iter().map(|file| format!("--ignore={file}")).collect();
        pytest(&others.iter().map(String::as_str).collect::<Vec<_>>());
    });
}

fn pytest(arguments: &[&str]) {
    let mut command = python("pytest");
    command.args(["-q", "-p", "no:cacheprovider"]).args(arguments).current_dir(CLIENT);
    run(command.env("LATCHD_BINARY", env!("CARGO_BIN_EXE_latchd")).env("PYTHONDONTWRITEBYTECODE", "1"));
}

#[test]
fn python_client_passes_mypy() {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/mypy");
    run(python("mypy").arg("--cache-dir").arg(cache).current_dir(CLIENT));
}
