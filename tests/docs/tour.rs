//! The README's tour and the Python client's example, against the binary as a first start makes it: what they show.

use super::markdown::{block, root};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const PORT: &str = "8443";

/// A server with a development certificate in its own directory; ends when dropped.
struct FirstStart {
    home: tempfile::TempDir,
    child: Child,
    port: String,
}

impl FirstStart {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LATCHD_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(["serve", "--listen", "https://127.0.0.1:0"])
            .current_dir(home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the first line");
        let port = line.trim().rsplit(':').next().expect("a port").to_owned();
        FirstStart { home, child, port }
    }

    /// Runs a block of the README with this server's port in place of the usual one.
    fn run(&self, program: &Path, arguments: &[&str], block: &str) -> Output {
        let text = block.replace(PORT, &self.port);
        let mut command = Command::new(program);
        command.args(arguments).arg(text).current_dir(self.home.path());
        command.output().unwrap_or_else(|error| panic!("{}: {error}; `make tools` installs it", program.display()))
    }
}

impl Drop for FirstStart {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The fencing tokens, in the order in which the answers arrived.
fn tokens(shown: &str) -> Vec<u64> {
    let after = shown.split("\"fencing_token\":").skip(1);
    after.map(|rest| rest.split([',', '}']).next().expect("a number").parse().expect("a token")).collect()
}

#[test]
fn tour_with_curl_shows_what_it_says() {
    let server = FirstStart::new();
    let output = server.run(Path::new("bash"), &["-euo", "pipefail", "-c"], &block("README.md", "sh tour"));
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(!shown.contains("error"), "{shown}");
    let tokens = tokens(&shown);
    let (first, last) = (tokens.first().expect("a grant"), tokens.last().expect("the holder"));
    assert!(last > first, "the second holder has a higher token: {shown}");
    assert_eq!(shown.matches("\"locked\":false").count(), 1, "{shown}");
    assert_eq!(shown.matches("\"unlocked\":true").count(), 1, "{shown}");
}

#[test]
fn tour_in_python_shows_its_token() {
    let server = FirstStart::new();
    let python: PathBuf = root().join("target/venv/bin/python");
    let output = server.run(&python, &["-c"], &block("README.md", "python tour"));
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("working under fencing token"), "{shown}");
}

#[test]
fn example_of_the_python_client_checks_its_token_three_times() {
    let server = FirstStart::new();
    let client = "import sys; sys.path.insert(0, sys.argv[1]); exec(sys.argv[2])";
    let packages = root().join("clients/python/src").display().to_string();
    let python = root().join("target/venv/bin/python");
    let example = block("clients/python/README.md", "python example");
    let output = server.run(&python, &["-Bc", client, &packages], &example);
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert_eq!(shown.matches("under fencing token").count(), 3, "{shown}");
}
