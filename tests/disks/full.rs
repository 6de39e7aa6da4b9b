//! A full data disk: reads are served, writes are refused with an explanation, and all is served again when there is space.

use std::fs;

use serde_json::json;

use super::kit::{Caller, home, json_of, until};
use crate::cluster::disk::SmallDisk;
use crate::support::client::Client;
use crate::support::process::run_to_end;
use crate::support::spec::Spec;

const SMALL: &str = "[storage]\nmin_free_bytes = \"4KiB\"\nsnapshot_log_bytes = \"64KiB\"\n";

#[test]
fn start_on_full_disk_serves_reads_and_recovers() {
    let home = home();
    let dir = home.path().join("data");
    let disk = SmallDisk::mount(&dir);
    let spec = Spec::durable(&dir).configuration(SMALL);
    let mut server = spec.start();
    let mut caller = Caller::open(&server);
    let key = caller.take("kept", &json!({}));
    server.kill();
    disk.fill();
    // A supervisor starts it again and again.
    for _ in 0..2 {
        server = server.start_again();
        caller.0.move_to(&server);
        let (status, told) = caller.readiness();
        assert!(status == 503 && told.contains("disk is full") && told.contains("storage.min_free_bytes"), "{told}");
        let shown = caller.0.get("/v1/locks/kept");
        assert_eq!(
            (shown.status, json_of(&shown)["holders"][0]["key"].as_str()),
            (200, Some(&*key)),
            "{}",
            shown.text()
        );
        assert_eq!(caller.metric("latchd_disk_nearly_full"), 1.0);
        for answer in [caller.ask("other", &json!({})), caller.renew("kept", &key), caller.give_back("kept", &key)] {
            let told = answer.text();
            assert!(answer.status >= 500 && told.contains("storage.min_free_bytes"), "{} {told}", answer.status);
        }
        server = server.stop_and_wait();
    }
    server = server.start_again();
    caller.0.move_to(&server);
    assert_eq!(caller.readiness().0, 503);
    disk.empty();
    until("it is ready again by itself", || caller.readiness().0 == 200);
    assert_eq!(caller.renew("kept", &key).status, 200);
    until("it has seen the free space", || caller.metric("latchd_disk_nearly_full") == 0.0);
    caller.take("other", &json!({}));
    assert_eq!(json_of(&caller.give_back("kept", &key))["unlocked"], true);
}

#[test]
fn disk_reserve_grows_with_table_and_releases_pass() {
    let home = home();
    let dir = home.path().join("data");
    let disk = SmallDisk::mount(&dir);
    let server = Spec::durable(&dir).configuration(SMALL).start();
    let mut caller = Caller::open(&server);
    assert!(caller.metric("latchd_disk_reserve_bytes") < 200_000.0);
    let long = "x".repeat(250);
    let metadata: serde_json::Map<_, _> = (0..32).map(|entry| (format!("entry-{entry}"), json!(long))).collect();
    let metadata = json!(metadata);
    let keys: Vec<String> = (0..250).map(|lock| caller.take(&format!("lock-{lock}"), &metadata)).collect();
    let table = 250.0 * 32.0 * 250.0;
    let reserve = caller.metric("latchd_disk_reserve_bytes");
    assert!(reserve >= table * 1.2, "{reserve} for a table of {table} bytes");
    let token = json_of(&caller.0.get("/v1/locks/lock-0"))["holders"][0]["fencing_token"].clone();
    let fence = |caller: &mut Caller, resource: &str| {
        caller.0.post("/v1/fence", &json!({"resource": resource, "token": token})).status
    };
    assert_eq!(fence(&mut caller, "known"), 200);
    disk.fill_but((table * 1.1) as u64);
    until("the disk is known to be nearly full", || caller.metric("latchd_disk_nearly_full") == 1.0);
    let refused = caller.ask("one-more", &json!({}));
    let told = refused.text();
    assert!(refused.status == 503 && told.contains("storage.min_free_bytes"), "{} {told}", refused.status);
    assert_eq!((fence(&mut caller, "known"), fence(&mut caller, "new")), (200, 503));
    assert_eq!(caller.renew("lock-0", &keys[0]).status, 200);
    assert_eq!(json_of(&caller.give_back("lock-1", &keys[1]))["unlocked"], true);
    disk.empty();
    until("there is room", || caller.ask("one-more", &json!({})).status == 200);
}

/// A process that is not ready must end all the same.
#[test]
fn node_waiting_for_disk_space_stops_on_request() {
    let home = home();
    let dir = home.path().join("data");
    let disk = SmallDisk::mount(&dir);
    let spec = Spec::durable(&dir).configuration(SMALL);
    spec.start().stop();
    disk.fill();
    let server = spec.start();
    assert_eq!(Client::plain(&server).get("/readyz").status, 503);
    let ended = server.stop();
    assert!(ended.status.success(), "{} {}", ended.status, ended.stderr);
}

#[test]
fn restore_on_full_disk_leaves_nothing_and_succeeds_later() {
    let home = home();
    let (backup, dir) = (home.path().join("backup"), home.path().join("disk/data"));
    let mut server = Spec::durable(&home.path().join("old")).start();
    Caller::open(&server).take("kept", &json!({}));
    let url = format!("http://{}", server.http());
    let backup = backup.display().to_string();
    assert_eq!(run_to_end(&["backup", &backup, "--url", &url]).status.code(), Some(0));
    server.kill();
    let disk = SmallDisk::mount(&home.path().join("disk"));
    let restore = || run_to_end(&["restore", &backup, "--data-dir", &dir.display().to_string()]);
    for room in [0, 64 << 10, 1 << 20] {
        disk.fill_but(room);
        let refused = restore();
        let told = refused.stderr;
        assert!(refused.status.code() == Some(1) && (told.contains("space")), "{room}: {told}");
        assert!(fs::read_dir(&dir).map_or(true, |mut left| left.next().is_none()), "{room} bytes: something is left");
        disk.empty();
    }
    let restored = restore();
    assert_eq!(restored.status.code(), Some(0), "{}", restored.stderr);
    let server = Spec::durable(&dir).start();
    assert_eq!(json_of(&Client::plain(&server).get("/v1/locks/kept"))["name"], "kept");
}
