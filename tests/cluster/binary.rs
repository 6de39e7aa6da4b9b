//! The program under test here: optimised, with the planted bugs compiled in and none of them switched on.
//!
//! It is built once for a test process, by cargo, which finds it up to date where nothing has changed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PROFILE: &str = "proof";

/// Where the program is; `LATCHD_BINARY` names another one, such as the last release.
pub fn latchd() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| match std::env::var_os("LATCHD_BINARY") {
        Some(file) => PathBuf::from(file),
        None => build(),
    })
}

fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--locked", "--profile", PROFILE, "--features", "mutants", "--bin", "latchd"]);
    let output = command.current_dir(root).arg("--target-dir").arg(&target).output().expect("cargo can be called");
    assert!(output.status.success(), "{command:?}:\n{}", String::from_utf8_lossy(&output.stderr));
    target.join(PROFILE).join("latchd")
}
