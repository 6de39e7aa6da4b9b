//! The workflows of GitHub, and the scripts that they call to release a version.

use super::{file, yaml};
use crate::proof::tools::{both, output, program, python, run};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const RELEASE: &str = ".github/workflows/release.yml";
const CI: &str = ".github/workflows/ci.yml";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commands of all steps.
fn commands(workflow: &Value) -> String {
    let jobs = workflow["jobs"].as_object().expect("jobs").values();
    let steps = jobs.flat_map(|job| job["steps"].as_array().expect("steps"));
    steps.filter_map(|step| step["run"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn workflows_have_no_faults_that_actionlint_knows() {
    run(python("actionlint").arg("-no-color").args([CI, RELEASE].map(file)));
}

#[test]
fn workflows_name_files_that_exist() {
    let mut found = 0;
    for name in [CI, RELEASE] {
        let commands = commands(&yaml(name).remove(0));
        let words = commands.split_whitespace().map(|word| word.trim_matches(['"', '\'', '`']));
        for word in words.filter(|word| word.starts_with("deploy/") || word.starts_with(".ci/")) {
            assert!(file(word).exists(), "{name}: {word}");
            found += 1;
        }
    }
    assert!(found > 5, "only {found}");
}

/// What is released was tested with the same tools, and for both processors.
#[test]
fn release_uses_the_tools_of_the_tests() {
    let release = yaml(RELEASE).remove(0);
    let makefile = std::fs::read_to_string(file("Makefile")).expect("the Makefile");
    let pinned = makefile.split_whitespace().find(|word| word.starts_with("cargo-deb@")).expect("a pinned cargo-deb");
    assert!(commands(&release).contains(pinned), "{pinned}");
    let targets = release["jobs"]["build"]["strategy"]["matrix"]["include"].as_array().expect("a matrix").iter();
    let targets: Vec<&str> = targets.map(|one| one["target"].as_str().expect("a target")).collect();
    assert_eq!(targets, ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]);
    // The stage that a release replaces by what it has built.
    let image = std::fs::read_to_string(file("Dockerfile")).expect("the Dockerfile");
    assert!(image.contains(" AS build\n") && image.contains("COPY --from=build /usr/local/bin/latchd "));
}

/// A copy of what the script reads, in which a release can be made.
fn tree(folder: &Path, changelog: &str) -> Command {
    for name in ["Cargo.toml", "deploy/helm/latchd/Chart.yaml", "deploy/release/notes"] {
        let copy = folder.join(name);
        std::fs::create_dir_all(copy.parent().expect("a parent")).expect("made");
        std::fs::copy(file(name), copy).expect("copied");
    }
    std::fs::write(folder.join("CHANGELOG.md"), changelog).expect("written");
    Command::new(folder.join("deploy/release/notes"))
}

#[test]
fn release_notes_are_the_section_of_the_version_and_no_other() {
    let folder = tempfile::tempdir().expect("a directory");
    let text = format!(
        "# Changelog\n\n## [Unreleased]\n\n- later\n\n## [{VERSION}] - 2027-01-31\n\n### Added\n\n- now\n\n## [0.0.9] - 2026-01-01\n\n- before\n"
    );
    let notes = run(tree(folder.path(), &text).arg(VERSION));
    assert_eq!(notes.trim(), "### Added\n\n- now");
}

#[test]
fn release_of_a_version_that_no_file_has_is_refused() {
    let folder = tempfile::tempdir().expect("a directory");
    for (version, complaint) in [("9.9.9", "Cargo.toml does not say: version = \"9.9.9\""), (VERSION, "has no section")]
    {
        let refused = output(tree(folder.path(), "## [Unreleased]\n\n- something\n").arg(version));
        assert!(!refused.status.success() && both(&refused).contains(complaint), "{}", both(&refused));
    }
}

#[test]
fn changelog_keeps_its_form() {
    let text = std::fs::read_to_string(file("CHANGELOG.md")).expect("the change log");
    let sections: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections.first(), Some(&"[Unreleased]"));
    for kind in text.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"].contains(&kind), "{kind}");
    }
}

#[test]
fn archive_has_a_binary_that_runs_and_what_belongs_to_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let target = "x86_64-unknown-linux-musl";
    let pack = file("deploy/release/archive");
    run(Command::new(pack).arg(env!("CARGO_BIN_EXE_latchd")).arg(target).arg(folder.path()).env("GZIP", "-1"));
    let name = format!("latchd-{VERSION}-{target}");
    run(program("tar").arg("-xzf").arg(folder.path().join(format!("{name}.tar.gz"))).arg("-C").arg(folder.path()));
    let root = folder.path().join(name);
    for file in ["man1/latchd-lock.1", "completions/latchd.bash", "config.toml", "LICENSE", "latchd.service"] {
        assert!(root.join(file).is_file(), "{file}");
    }
    assert_eq!(run(Command::new(root.join("latchd")).arg("--version")).trim(), format!("latchd {VERSION}"));
}
