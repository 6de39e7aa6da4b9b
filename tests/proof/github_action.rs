//! The composite action for GitHub: its steps, run by a stand-in for a runner against the built binary.

use super::tools::{python, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn github_action_runs_its_script_under_the_lock() {
    let script = format!("{ROOT}/tests/python/github_action.py");
    run(python("python").args([script, format!("{ROOT}/action.yml")]).arg(env!("CARGO_BIN_EXE_latchd")));
}
