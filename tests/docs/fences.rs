//! Which blocks run and which do not. A block that does not run is a `console`, and stands here with its reason.

use super::markdown::Page;
use super::run::RUNS;

/// Languages of blocks that hold no commands. The suites of the clients run those in Go and TypeScript.
const NO_COMMANDS: [&str; 9] = ["go", "hcl", "json", "proto", "rust", "text", "toml", "ts", "yaml"];

/// The page, the beginning of the block, and why no test runs it.
const SHOWN: &[(&str, &str, &str)] = &[
    ("CONTRIBUTING.md", "make soak ", "takes a night"),
    ("CONTRIBUTING.md", "REFRESH_OPENAPI=1 ", "writes the files that the tests compare"),
    ("README.md", "# Takes five to ten minutes", "takes minutes; every other block runs with what it builds"),
    ("clients/go/README.md", "go get ", "the tests are in the module itself"),
    ("clients/go/README.md", "go mod edit ", "the tests are in the module itself"),
    ("clients/python/README.md", "pip install ", "the tests have the client on their import path"),
    ("clients/typescript/README.md", "npm ci ", "needs a registry; the tests pack and compile the same files"),
    ("docs/certificates.md", "scp ", "needs another machine"),
    ("docs/disks.md", "latchd members remove 2 ", "needs systemd on several machines"),
    ("docs/events.md", "curl -N ", "does not end"),
    ("docs/identity.md", "curl --cacert ca.crt ", "needs Kubernetes"),
    ("docs/kubernetes.md", "latchd certs init ", "needs Kubernetes"),
    ("docs/kubernetes.md", "openssl req ", "needs Kubernetes"),
    ("docs/kubernetes.md", "helm install ", "needs Kubernetes; proof::deploy::helm renders the chart"),
    ("docs/kubernetes.md", "latchd certs add ", "needs Kubernetes"),
    ("docs/kubernetes.md", "kubectl exec ", "needs Kubernetes"),
    ("docs/packages.md", "sudo apt install ", "needs root; proof::package installs the package in a namespace"),
    ("docs/packages.md", "sudo install -g latchd ", "opens an editor"),
    ("docs/packages.md", "cargo install --locked cargo-deb", "takes minutes; proof::package makes the package"),
    ("docs/packages.md", "tar -xzf ", "needs root; proof::deploy::release unpacks the archive"),
    ("docs/packages.md", "docker build ", "needs an engine"),
    ("fuzz/README.md", "cargo install cargo-fuzz ", "needs a nightly toolchain"),
    ("docs/security.md", "(umask 077; latchd keys new ", "writes into /etc; cli::keys runs the same commands"),
];

/// A line that begins so is a command, whatever its block says.
const COMMANDS: [&str; 9] = ["$ ", "cargo ", "curl ", "docker ", "latchd ", "make ", "pip ", "python ", "ssh "];

#[test]
fn every_block_that_does_not_run_is_listed_with_its_reason() {
    let mut found = Vec::new();
    for page in Page::all() {
        for block in page.blocks().iter().filter(|block| block.language() == "console") {
            let first = block.text.lines().next().unwrap_or_default();
            let entry = SHOWN.iter().find(|(path, begins, _)| *path == page.path && first.starts_with(begins));
            let entry = entry.unwrap_or_else(|| panic!("{}:{}: why does `{first}` not run?", page.path, block.line));
            found.push(*entry);
        }
    }
    let gone: Vec<_> = SHOWN.iter().filter(|entry| !found.contains(entry)).collect();
    assert!(gone.is_empty(), "these blocks are gone: {gone:?}");
    assert_eq!(found.len(), SHOWN.len(), "one entry for each block");
}

#[test]
fn every_block_says_whether_it_runs() {
    for page in Page::all() {
        for block in page.blocks() {
            let language = block.language();
            let is_known = RUNS.contains(&language) || NO_COMMANDS.contains(&language) || language == "console";
            assert!(is_known, "{}:{}: `{}` is no language of the documents", page.path, block.line, block.info);
        }
    }
}

#[test]
fn commands_stand_in_blocks_that_run_or_are_listed() {
    for page in Page::all() {
        // A command in a program in Go would not compile.
        let is_text = |language| NO_COMMANDS.contains(&language) && language != "go";
        for block in page.blocks().iter().filter(|block| is_text(block.language())) {
            let hidden =
                block.text.lines().find(|line| COMMANDS.iter().any(|command| line.trim_start().starts_with(command)));
            assert!(
                hidden.is_none(),
                "{}:{}: `{}` escapes the tests",
                page.path,
                block.line,
                hidden.unwrap_or_default()
            );
        }
    }
}

/// A block `rust src/main.rs` shows lines of that file as they are; so does one in TypeScript, whose file the tests run.
#[test]
fn blocks_of_source_are_excerpts_of_the_files_they_name() {
    let mut found = 0;
    for page in Page::all() {
        for block in page.blocks().iter().filter(|block| ["rust", "ts"].contains(&block.language())) {
            let (_, file) =
                block.info.split_once(' ').unwrap_or_else(|| panic!("{}:{}: of which file?", page.path, block.line));
            let source = Page::read(file).text;
            assert!(source.contains(&block.text), "{}:{}: {file} has no such lines", page.path, block.line);
            found += 1;
        }
    }
    assert!(found > 3, "only {found} were found");
}
