//! The README: its tour, run word for word against the binary as a first start makes it, and the names that it uses.

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
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The block of a document that is marked so, such as `sh tour`.
pub fn block(document: &str, mark: &str) -> String {
    let readme = std::fs::read_to_string(repository().join(document)).expect("a document");
    let (_, after) = readme.split_once(&format!("```{mark}\n")).expect("a marked block");
    after.split_once("```").expect("the block ends").0.to_owned()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The fencing tokens in the order in which answers with them arrived.
fn tokens(shown: &str) -> Vec<u64> {
    let after = shown.split("\"fencing_token\":").skip(1);
    after.map(|rest| rest.split([',', '}']).next().expect("a number").parse().expect("a token")).collect()
}

#[test]
fn the_tour_with_curl_goes_as_it_is_written() {
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
fn the_python_script_goes_as_it_is_written() {
    let server = FirstStart::new();
    let python: PathBuf = repository().join("target/venv/bin/python");
    let output = server.run(&python, &["-c"], &block("README.md", "python tour"));
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("working under fencing token"), "{shown}");
}

#[test]
fn the_example_of_the_python_client_goes_as_it_is_written() {
    let server = FirstStart::new();
    let client = "import sys; sys.path.insert(0, sys.argv[1]); exec(sys.argv[2])";
    let packages = repository().join("clients/python/src").display().to_string();
    let python = repository().join("target/venv/bin/python");
    let example = block("clients/python/README.md", "python example");
    let output = server.run(&python, &["-Bc", client, &packages], &example);
    let shown = text(&output);
    assert!(output.status.success(), "{shown}");
    assert_eq!(shown.matches("under fencing token").count(), 3, "{shown}");
}

/// What stands between backticks in the documents.
fn quoted() -> Vec<String> {
    let read = |name| std::fs::read_to_string(repository().join(name)).expect("a document");
    let text = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(read).concat();
    let outside_blocks = text.split("```").step_by(2);
    outside_blocks.flat_map(|part| part.split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

#[test]
fn every_key_that_a_document_names_is_one() {
    let defaults: toml::Table = latchd::config::DEFAULTS.parse().expect("TOML");
    let mut found = 0;
    for word in quoted() {
        let Some((section, key)) = word.split_once('.') else { continue };
        let Some(section) = defaults.get(section).and_then(toml::Value::as_table) else { continue };
        if key == "rs" {
            continue;
        }
        let name = key.split([' ', '=']).next().unwrap_or_default();
        assert!(section.contains_key(name), "`{word}` is no key of config.toml");
        found += 1;
    }
    assert!(found > 15, "only {found} keys were found");
}

#[test]
fn every_metric_that_a_document_names_is_shown() {
    let shown = latchd::telemetry::Metrics::default().encode();
    let words = quoted();
    let metrics = words.iter().flat_map(|word| word.split([' ', '/'])).filter(|word| word.starts_with("latchd_"));
    let mut found = 0;
    for metric in metrics.filter(|metric| !metric.ends_with('_')) {
        let registered = metric.trim_end_matches("_total");
        assert!(shown.contains(&format!("# HELP {registered} ")), "{metric} is not shown:\n{shown}");
        found += 1;
    }
    assert!(found > 4, "only {found} metrics were found");
}
