//! The compose files under a real engine: `make test-compose`, where `docker compose` and its daemon are.

use super::file;
use crate::proof::tools::{program, run};
use std::path::Path;
use std::process::Command;

/// A project of its own beside files of its own; everything goes with it.
struct Project {
    name: &'static str,
    compose: &'static str,
    home: tempfile::TempDir,
}

impl Project {
    fn new(name: &'static str, compose: &'static str) -> Self {
        run(program("docker").args(["build", "--tag", concat!("latchd:", env!("CARGO_PKG_VERSION"))]).arg(file(".")));
        let project = Self { name, compose, home: tempfile::tempdir().expect("a directory") };
        // A person's directory, which containers may enter.
        run(program("chmod").arg("755").arg(project.home.path()));
        project.prepare();
        project
    }

    /// What the first lines of `docker-compose.yml` say.
    fn prepare(&self) {
        let secrets = self.home.path().join("secrets");
        std::fs::create_dir(&secrets).expect("made");
        let pair = ["-keyout", "key.pem", "-out", "cert.pem", "-days", "1", "-subj", "/CN=localhost"];
        let names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
        let kind = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        run(program("openssl").args(kind).args(pair).args(names).current_dir(&secrets));
        Self::show(&secrets.join("key.pem"));
        std::fs::write(self.home.path().join(".env"), "LATCHD_API_KEY=of-a-test\n").expect("written");
    }

    /// Lets the group of the user in the container read a file, as the first lines say.
    fn show(file: &Path) {
        std::os::unix::fs::chown(file, None, Some(10001)).expect("as root");
        run(program("chmod").arg("640").arg(file));
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = program("docker");
        command.args(["compose", "--project-name", self.name, "--file"]).arg(file(self.compose));
        command.arg("--project-directory").arg(self.home.path()).args(arguments.split(' '));
        command
    }

    fn run(&self, arguments: &str) -> String {
        run(&mut self.command(arguments))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Whatever is left of a failed test.
        let _ = self.command("down --volumes --timeout 1").status();
    }
}

const CA: &str = "--ca /etc/latchd/tls/cert.pem";

#[test]
#[ignore = "needs an engine: make test-compose"]
fn one_node_of_compose_goes_up_stops_is_backed_up_and_restored_without_names() {
    let project = Project::new("latchd-test-one", "docker-compose.yml");
    project.run("up --detach --no-build --wait");
    project.run("stop");
    project.run("start");
    project.run("up --detach --no-build --wait");
    project.run(&format!("exec -T latchd latchd backup /var/lib/latchd/latchd.backup {CA}"));
    project.run(&format!("cp latchd:/var/lib/latchd/latchd.backup {}", project.home.path().display()));
    project.run("down --volumes");
    Project::show(&project.home.path().join("latchd.backup"));
    let mount = format!("{}:/backup:ro", project.home.path().display());
    let restore = "restore /backup/latchd.backup --data-dir /var/lib/latchd/data";
    project.run(&format!("run --rm --no-deps --volume {mount} latchd {restore}"));
    project.run("up --detach --no-build --wait");
    assert!(project.run("logs").contains("listening on"), "logs without a name");
    project.run("down");
    assert_eq!(project.run("ps --all --quiet").trim(), "");
}

#[test]
#[ignore = "needs an engine: make test-compose"]
fn compose_cluster_starts_and_survives_rolling_upgrade() {
    let project = Project::new("latchd-test-three", "docker-compose.cluster.yml");
    project.run("up --detach --no-build --wait");
    for node in ["latchd-1", "latchd-2", "latchd-3"] {
        project.run(&format!("up --detach --no-build --no-deps --force-recreate --wait {node}"));
    }
    let members = project.run(&format!("exec -T latchd-1 latchd members list {CA}"));
    assert_eq!(members.lines().filter(|line| line.contains("https://latchd-")).count(), 3, "{members}");
    project.run("down --volumes");
}
