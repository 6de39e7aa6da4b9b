//! Our own client for Node.js: its types, its tests against the built binary, and what its package contains.

use super::tools::{NODE, node, path_with_node, python, run};
use std::path::Path;
use std::process::Command;

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// The package, compiled with its tests in strict mode, as if the pinned packages of Node.js were installed beside it.
fn built() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary directory can be made");
    let packages = Path::new(NODE).join("node_modules");
    std::os::unix::fs::symlink(packages, folder.path().join("node_modules")).expect("a link can be made");
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(format!("{CLIENTS}/typescript")).arg(format!("{CLIENTS}/README.md"));
    run(copy.arg(folder.path()));
    for project in ["tsconfig.build.json", "tsconfig.json"] {
        run(node("tsc").arg("--project").arg(folder.path().join("typescript").join(project)));
    }
    folder
}

#[test]
fn typescript_client_compiles_and_passes_its_tests() {
    let folder = built();
    let home = folder.path().join("typescript");
    let files =
        std::fs::read_dir(home.join("build")).expect("it was built").map(|entry| entry.expect("readable").path());
    let mut command = python("node");
    // They wait more than they work.
    command.args(["--test", "--test-concurrency=2", "--test-reporter=spec"]);
    command.args(files.filter(|file| file.to_string_lossy().ends_with(".test.js")));
    command.env("PATH", path_with_node()).env("LATCHD_BINARY", env!("CARGO_BIN_EXE_latchd"));
    let said = run(command.current_dir(&home));
    assert!(said.contains("ℹ fail 0") && said.contains("ℹ skipped 0"), "{said}");
}

/// Whoever installs the pinned packages of the tests has what the package asks for.
#[test]
fn compiler_of_the_typescript_client_is_the_one_of_the_tests() {
    let read = |path: &str| -> serde_json::Value {
        let text = std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).expect("it is there");
        serde_json::from_str(&text).expect("JSON")
    };
    let (client, tests) = (read("clients/typescript/package.json"), read("tests/node/package.json"));
    for (name, version) in client["devDependencies"].as_object().expect("a table") {
        assert_eq!(&tests["dependencies"][name], version, "{name}");
    }
}
