//! The programs that tests call. A missing one is an error that says what to run, never a skipped test.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A program of the system.
pub fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    let Some(file) = found.map(|folder| folder.join(name)).find(|file| file.is_file()) else {
        panic!("the tests need {name}: run `make tools`");
    };
    Command::new(file)
}

/// Where the pinned packages of Node.js are.
pub const NODE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/node");
const VENV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/venv/bin");

/// A program of the pinned Python environment, which also has Node.js itself.
pub fn python(name: &str) -> Command {
    installed(&Path::new(VENV).join(name))
}

/// A program of the pinned packages of Node.js.
pub fn node(name: &str) -> Command {
    let mut command = installed(&Path::new(NODE).join("node_modules/.bin").join(name));
    command.env("PATH", path_with_node());
    command
}

/// The search path, with Node.js first.
pub fn path_with_node() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(PathBuf::from(VENV)).chain(std::env::split_paths(&path));
    std::env::join_paths(paths).expect("no folder of ours has a colon in its name")
}

/// From Debian's package of Prometheus.
pub fn promtool() -> Command {
    installed(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target/prometheus/usr/bin/promtool")))
}

/// Go, in the folder of a module: that of the pinned Python environment if the machine's own is missing or old.
pub fn go(module: &str) -> Command {
    let pinned = Path::new(VENV).join("go");
    let mut command = if pinned.is_file() { Command::new(pinned) } else { program("go") };
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(module));
    // No other version of a module or of Go itself than the one that is there.
    command.env("GOFLAGS", "-mod=readonly -buildvcs=false").env("GOTOOLCHAIN", "local");
    command
}

fn installed(file: &Path) -> Command {
    assert!(file.is_file(), "the tests need {}: run `make tools`", file.display());
    Command::new(file)
}

/// Runs a program to its end; panics with its output when it fails.
pub fn run(command: &mut Command) -> String {
    let output = output(command);
    let text = both(&output);
    assert!(output.status.success(), "{command:?} ended with {}:\n{text}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program to its end, whatever that is.
pub fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What a program wrote, for a message.
pub fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
