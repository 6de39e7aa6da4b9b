//! The published py-ldlm, its first version and its newest one, against the started binary.

use super::tools::{both, python};
use crate::cluster::authority::Authority;
use crate::support::certificate::pair;
use crate::support::process::Server;
use crate::support::spec::Spec;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/py_ldlm.py");
const VERSIONS: [&str; 2] = ["first", "newest"];
const PASSWORD: &str = "sesame: open";

/// Both versions at once against each server, with its password; all of them have to pass.
fn prove(spec: &Spec, address: impl Fn(&Server) -> String, options: &[&str]) {
    let servers = [(spec.start(), None), (spec.clone().password(PASSWORD).start(), Some(PASSWORD))];
    let mut running = Vec::new();
    for (server, password) in &servers {
        for version in VERSIONS {
            let mut command = client(version, &address(server));
            command.args(options);
            if let Some(password) = password {
                command.args(["--password", password]);
            }
            running.push((version, *password, begin(&mut command)));
        }
    }
    for (version, password, child) in running {
        let output = child.wait_with_output().expect("it can be waited for");
        let said = both(&output);
        let who = format!("py-ldlm, {version} version, {options:?}, password {password:?}");
        assert!(output.status.success() && said.contains("all passed"), "{who} ended with {}:\n{said}", output.status);
    }
}

fn client(version: &str, address: &str) -> Command {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/py-ldlm").join(version);
    assert!(packages.is_dir(), "the tests need {}: run `make tools`", packages.display());
    let mut command = python("python");
    command.args([SCRIPT, address]).env("PYTHONPATH", packages);
    command
}

fn begin(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("Python starts")
}

fn over_https(server: &Server) -> String {
    format!("localhost:{}", server.https().port())
}

#[test]
fn both_versions_pass_over_plaintext() {
    prove(&Spec::in_memory(), |server| server.http().to_string(), &[]);
}

#[test]
fn both_versions_pass_over_tls() {
    prove(&Spec::in_memory(), over_https, &["--ca", &pair().certificate.display().to_string()]);
}

#[test]
fn both_versions_pass_over_mutual_tls() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let authority = Authority::new(folder.path());
    let (certificate, key) = authority.pair(1, [127, 0, 0, 1].into());
    let spec = Spec::in_memory().argument("--client-ca").argument(authority.certificate().display().to_string());
    let files = [&pair().certificate, &certificate, &key].map(|file| file.display().to_string());
    prove(&spec, over_https, &["--ca", &files[0], "--cert", &files[1], "--key", &files[2]]);
}
