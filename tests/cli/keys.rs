//! `latchd keys` and a server that has the file in use.

use std::time::{Duration, Instant};

use super::binary::latchd;
use crate::support::client::Client;
use crate::support::spec::Spec;
use serde_json::Value;

#[test]
fn new_key_opens_a_running_server_until_it_is_removed() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("keys.toml").display().to_string();
    let keys = |arguments: &[&str]| latchd(&[&["keys"], arguments, &["--file", &path]].concat(), "");
    let (good, ops, told) = keys(&["new", "ops", "--role", "admin"]);
    assert!(good && told.contains("added \"ops\"") && !told.contains(ops.trim()), "{told}");
    assert!(ops.starts_with("latchd_") && ops.lines().count() == 1, "the key alone is on stdout");
    let access = format!("[access]\nkeys_file = {path:?}\nreload_interval = \"20ms\"\n");
    let server = Spec::in_memory().configuration(access).start();
    let status = |key: &str| Client::plain(&server).with_header("X-API-Key", key.trim()).get("/v1/locks").status;
    // One that opens no more gets 401, and 429 when it is asked often.
    let until = |key: &str, opens: bool| {
        let begun = Instant::now();
        while (status(key) == 200) != opens {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", server.stderr());
        }
    };
    assert_eq!(status(&ops), 200);
    let (good, ci, told) = keys(&["new", "ci", "--prefix", "build/", "--prefix", "test/", "--expires", "90d"]);
    assert!(good, "{told}");
    until(&ci, true);
    let (good, list, _) = keys(&["list", "--output", "json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert!(good && list[1]["prefixes"] == serde_json::json!(["build/", "test/"]), "{list}");
    assert!(list[1]["expires"].is_string() && list[1]["expired"] == false && list[0]["expires"].is_null(), "{list}");
    let (_, table, _) = keys(&["list"]);
    assert!((table.contains("90d0h") || table.contains("89d23h")) && !table.contains(ci.trim()), "{table}");
    let (good, nothing, told) = keys(&["new", "ci"]);
    assert!(!good && nothing.is_empty() && told.contains("has a key named \"ci\""), "{told}");
    let (good, nothing, told) = keys(&["remove", "ci"]);
    assert!(good && nothing.is_empty(), "{told}");
    until(&ci, false);
    assert_eq!(status(&ops), 200);
    for (arguments, why) in [
        (&["new", "x", "--expires", "2020-01-01"][..], "has passed"),
        (&["new", "x", "--expires", "soon"], "90d"),
        (&["new", "two words"], "without spaces"),
        (&["remove", "ci"], "no key named \"ci\""),
    ] {
        let (good, nothing, told) = keys(arguments);
        assert!(!good && nothing.is_empty() && told.contains(why), "{arguments:?}: {told}");
    }
}

#[test]
fn secret_of_two_credentials_is_told_at_the_start() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("keys.toml").display().to_string();
    let (good, ops, told) = latchd(&["keys", "new", "ops", "--role", "admin", "--file", &path], "");
    assert!(good, "{told}");
    let access = format!("[access]\nkeys_file = {path:?}\n");
    let start = |spec: Spec| spec.configuration(access.clone()).start();
    for (first, server) in [
        ("command-line-key-1", start(Spec::in_memory().api_key(ops.trim()))),
        ("command-line-password-1", start(Spec::in_memory().password(ops.trim()))),
    ] {
        let told = format!("the credentials \"{first}\" and \"ops\" have one secret");
        assert_eq!(server.stderr().matches(&told).count(), 1, "{}", server.stderr());
        let status = Client::plain(&server).with_header("X-API-Key", ops.trim()).get("/v1/locks").status;
        assert_eq!(status, 200, "{first}");
    }
}
