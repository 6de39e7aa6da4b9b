//! A full disk under the audit file: what operators do is refused, locks are served, and no half line stays.

use crate::cluster::disk::SmallDisk;
use crate::support::audit::Trail;
use crate::support::client::Client;
use crate::support::spec::Spec;
use serde_json::json;

#[test]
fn full_disk_under_the_audit_file_refuses_only_what_operators_do() {
    let trail = Trail::new();
    let disk = SmallDisk::mount(&trail.directory());
    let server = Spec::in_memory().configuration(trail.configuration("refuse", "64MiB")).start();
    let mut client = Client::plain(&server);
    let mut forced = |name: &str| {
        client.set_cookie("ldlm-session", "");
        assert_eq!(client.post("/session", &json!({})).status, 201);
        let taken = client.post("/v1/lock", &json!({"name": name, "lock_timeout_seconds": 600})).json();
        let key = taken["key"].as_str().expect("locks are served").to_owned();
        let reason = "r".repeat(200);
        let status = client.delete(&format!("/v1/locks/{name}/holds/{key}?reason={reason}")).status;
        assert_eq!(client.post("/v1/unlock", &json!({"name": name, "key": key})).json()["unlocked"], status == 503);
        status
    };
    assert_eq!(forced("before"), 200);
    let page = 4096;
    disk.fill_but(page);
    // What is left is a page that the file ends in, and the free one.
    let statuses: Vec<u16> = (0..20).map(|number| forced(&format!("full-{number}"))).collect();
    assert!(statuses.ends_with(&[503, 503]), "{statuses:?}");
    let (done, lines) = (statuses.iter().filter(|status| **status == 200).count(), trail.lines());
    let intents = lines.iter().filter(|line| line["stage"] == "intent").count();
    assert!((done + 1..=done + 2).contains(&intents), "{statuses:?} {lines:?}");
    disk.empty();
    assert_eq!(forced("after"), 200);
    assert_eq!(trail.lines().last().map(|line| line["target"]["lock"].clone()), Some(json!("after")));
}
