//! `latchd members` and `latchd backup` against the binary.

use crate::support::certificate;
use crate::support::client::Client;
use crate::support::process::{Ended, Server, run_to_end};
use crate::support::spec::Spec;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

pub const KEY: &str = "a key for operators";

pub fn server() -> Server {
    Spec::in_memory().api_key(KEY).start()
}

/// Runs an admin command, with the key.
pub fn operate(server: &Server, arguments: &[&str]) -> Ended {
    let url = format!("https://{}", server.https());
    let ca = certificate::pair().certificate.display().to_string();
    run_to_end(&[arguments, &["--url", &url, "--ca", &ca, "--api-key", KEY]].concat())
}

pub fn refused(ended: &Ended, message: &str) {
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("latchd: ") && ended.stderr.contains(message), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn members_are_listed_as_table_and_json() {
    let server = server();
    let shown = operate(&server, &["members", "list"]);
    assert_eq!(shown.stdout, "NODE  ROLE    STATE  LAG  ADDRESS\n1     leader  up     0    -\n", "{}", shown.stderr);
    let shown = operate(&server, &["members", "list", "--output", "json"]);
    let cluster: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!((&cluster["leader"], &cluster["has_quorum"]), (&json!(1), &json!(true)));
    assert_eq!(cluster["members"][0]["role"], "leader");
}

#[test]
fn refused_member_change_shows_the_services_reason() {
    let server = server();
    refused(&operate(&server, &["members", "add", "4", "https://127.0.0.1:1"]), "this node runs alone");
    refused(&operate(&server, &["members", "add", "4", "127.0.0.1:1"]), "expected a URL like https://10.0.0.4:9443");
    refused(&operate(&server, &["members", "promote", "1"]), "node 1 has a vote already (409)");
    let url = format!("http://{}", server.http());
    refused(&run_to_end(&["members", "list", "--url", &url]), "a password or an API key is needed (401)");
    refused(&run_to_end(&["members", "list", "--url", "http://127.0.0.1:1"]), "cannot be reached");
}

#[test]
fn backup_gets_its_name_when_complete() {
    let server = server();
    let mut client = Client::tls(&server).with_header("X-API-Key", KEY);
    client.send("POST", "/session", b"");
    let locked = client.post("/v1/lock", &json!({"name": "kept"}));
    assert_eq!(locked.json()["locked"], true);
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("latchd.backup");
    std::fs::write(&file, "an older one").expect("written");
    let path = file.display().to_string();
    let taken = operate(&server, &["backup", &path]);
    assert!(taken.status.success(), "{}", taken.stderr);
    let told = taken.stdout;
    assert!(told.ends_with("bytes, checked: locks 1, holds 1, waiting 0, sessions 1\n"), "{told}");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(home.path()).expect("listed").count(), 1, "no draft stays");
    let contents = latchd::engine::check(&file).expect("a backup");
    assert_eq!((contents.locks, contents.sessions), (1, 1));
}

#[test]
fn backup_is_written_to_stdout_for_a_dash() {
    let server = Spec::in_memory().start();
    assert_eq!(Client::plain(&server).send("POST", "/lock/kept", b"").status, 200);
    let command = || {
        let mut command = super::lock::job::latchd(&super::lock::job::url(&server));
        command.args(["backup", "-"]);
        command
    };
    let taken = command().output().expect("the binary starts");
    assert!(taken.status.success(), "{}", String::from_utf8_lossy(&taken.stderr));
    assert_eq!(String::from_utf8_lossy(&taken.stderr), format!("latchd: {} bytes written\n", taken.stdout.len()));
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("latchd.backup");
    std::fs::write(&file, &taken.stdout).expect("written");
    assert_eq!(latchd::engine::check(&file).expect("a backup").locks, 1);
    for stdout in [super::unwritable_output::full(), super::unwritable_output::closed()] {
        let ended = command().stdout(stdout).output().expect("the binary starts");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "half a backup is none: {told}");
        assert!(told.contains("cannot be written"), "{told}");
    }
}

#[test]
fn failed_backup_keeps_the_old_file() {
    let server = server();
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("latchd.backup");
    std::fs::write(&file, "an older one").expect("written");
    let path = file.display().to_string();
    let url = format!("http://{}", server.http());
    refused(&run_to_end(&["backup", &path, "--url", &url]), "a password or an API key is needed");
    assert_eq!(std::fs::read_to_string(&file).expect("there"), "an older one");
    assert_eq!(std::fs::read_dir(home.path()).expect("listed").count(), 1, "no draft stays");
    refused(&operate(&server, &["backup", "/nonexistent/x"]), "cannot be written");
    refused(&operate(&server, &["backup", "/"]), "is no name for a file");
}

#[test]
fn damaged_backup_is_reported_with_its_name() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("b");
    let told = |text: &[u8]| {
        std::fs::write(&file, text).expect("written");
        latchd::engine::check(&file).expect_err("damaged").to_string()
    };
    assert!(
        told(b"").ends_with("b is no whole backup: it breaks off before its end; take a new one, or use an older one")
    );
    assert!(told(b"something else entirely").contains("this is no backup of latchd"));
}
