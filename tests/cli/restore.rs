//! `latchd backup` and `latchd restore` from one service to the next, and refusals of `restore`.

use crate::support::client::Client;
use crate::support::process::{Ended, Server, run_to_end};
use crate::support::spec::Spec;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// More than the tokens that were issued after the backup.
const TOKENS_PAST_BACKUP: u64 = 1_000_000_000;
const TOKENS_PER_SECOND: u64 = 1_000 << 10;

/// A service's backup, and the keys and tokens of its clients.
struct Left {
    home: tempfile::TempDir,
    backup: PathBuf,
    session: String,
    key: String,
    token: u64,
}

fn taken(client: &mut Client, name: &str) -> (String, u64) {
    let taken = client.post("/v1/lock", &json!({"name": name, "lock_timeout_seconds": 600})).json();
    assert_eq!(taken["locked"], true, "{taken}");
    (taken["key"].as_str().expect("a key").to_owned(), taken["fencing_token"].as_u64().expect("a token"))
}

/// A service with a lock without a session and one with a session, and a third that is acquired after the backup.
fn left() -> Left {
    let home = tempfile::tempdir().expect("a directory");
    let mut server = Spec::durable(&home.path().join("old")).start();
    let mut client = Client::plain(&server);
    assert_eq!(client.send("POST", "/lock/bare", b"").status, 200);
    client.send("POST", "/session", b"");
    let session = client.cookie("ldlm-session").expect("a session").to_owned();
    let (key, _) = taken(&mut client, "of-session");
    let backup = home.path().join("latchd.backup");
    let url = format!("http://{}", server.http());
    let ended = run_to_end(&["backup", &backup.display().to_string(), "--url", &url]);
    assert!(ended.stdout.ends_with("locks 2, holds 2, waiting 0, sessions 1\n"), "{}{}", ended.stdout, ended.stderr);
    // A device or a link is not replaced.
    let link = home.path().join("link");
    std::os::unix::fs::symlink(&backup, &link).expect("a link");
    let refused = run_to_end(&["backup", &link.display().to_string(), "--url", &url]);
    assert!(refused.stderr.contains("is no regular file") && refused.status.code() == Some(1), "{}", refused.stderr);
    assert!(link.is_symlink());
    let (_, token) = taken(&mut client, "after the backup");
    server.kill();
    Left { home, backup, session, key, token }
}

fn restore(left: &Left, into: &str, more: &[&str]) -> Ended {
    let (file, dir) = (left.backup.display().to_string(), left.home.path().join(into).display().to_string());
    run_to_end(&[&["restore", &file, "--data-dir", &dir], more].concat())
}

/// The restored service, and a client in the old session.
fn begun(left: &Left, from: &str) -> (Server, Client) {
    let server = Spec::durable(&left.home.path().join(from)).start();
    let mut client = Client::plain(&server);
    client.set_cookie("ldlm-session", &left.session);
    (server, client)
}

#[test]
fn restored_holds_remain_and_tokens_begin_higher() {
    let left = left();
    let restored = restore(&left, "new", &[]);
    let told = restored.stdout;
    assert!(told.contains("checked: locks 2, holds 2, waiting 0, sessions 1\n"), "{told}{}", restored.stderr);
    let dir = left.home.path().join("new").display().to_string();
    assert!(told.ends_with(&format!("Start it with: latchd serve --data-dir {dir} --node-id 1\n")), "{told}");
    let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();

    let (server, mut client) = begun(&left, "new");
    assert_eq!(client.get("/lock/bare").status, 200, "still held");
    assert_eq!(Client::plain(&server).get("/v1/locks/after%20the%20backup").status, 404, "the backup is older");
    let renewal = json!({"name": "of-session", "key": left.key, "lock_timeout_seconds": 60});
    assert_eq!(client.post("/v1/renew", &renewal).json()["locked"], true, "its owner goes on");
    let (_, token) = taken(&mut client, "next");
    assert!(token >= left.token - 1 + TOKENS_PAST_BACKUP, "{token} is too near {}", left.token);
    // It may have been restored a few seconds before.
    assert!(token >= (before - 60) * TOKENS_PER_SECOND, "{token} is too low for {before}");
    let server = server.kill_and_restart();
    let (_, later) = taken(
        &mut {
            let mut client = Client::plain(&server);
            client.set_cookie("ldlm-session", &left.session);
            client
        },
        "later",
    );
    assert!(later > token, "and go on over a restart");
}

#[test]
fn sessions_and_holds_are_dropped_as_asked() {
    let left = left();
    let told = restore(&left, "no-sessions", &["--drop-sessions"]).stdout;
    assert!(told.contains("locks 1, holds 1, waiting 0, sessions 0\n"), "{told}");
    let (server, mut client) = begun(&left, "no-sessions");
    assert_eq!(client.post("/v1/lock", &json!({"name": "x"})).status, 401, "its session has ended");
    assert_eq!(client.get("/lock/bare").status, 200);
    assert_eq!(Client::plain(&server).get("/v1/locks/of-session").status, 404, "and its hold with it");

    let told = restore(&left, "no-holds", &["--drop-holds"]).stdout;
    assert!(told.contains("locks 0, holds 0, waiting 0, sessions 1\n"), "{told}");
    let (_server, mut client) = begun(&left, "no-holds");
    assert_eq!(client.get("/lock/bare").status, 404);
    let gone = client.post("/v1/renew", &json!({"name": "of-session", "key": left.key, "lock_timeout_seconds": 60}));
    assert_eq!((gone.status, &gone.json()["locked"]), (200, &json!(false)), "the session lives, its hold does not");

    let told = restore(&left, "neither", &["--drop-sessions", "--drop-holds"]).stdout;
    assert!(told.contains("locks 0, holds 0, waiting 0, sessions 0\n"), "{told}");
}

#[test]
fn restored_node_id_is_kept_with_the_data() {
    let left = left();
    let told = restore(&left, "seven", &["--node-id", "7", "--advertise", "https://10.0.0.7:9443"]).stdout;
    assert!(told.ends_with(" --node-id 7\n"), "{told}");
    let dir = left.home.path().join("seven");
    let refused = Spec::durable(&dir).try_start().err().expect("it is not node 1's");
    assert!(refused.contains("the data directory belongs to node 7, this is node 1"), "{refused}");
    let server = Spec::durable(&dir).argument("--node-id").argument("7").start();
    let cluster = Client::plain(&server).get("/v1/cluster").json();
    assert_eq!((&cluster["node"], &cluster["members"][0]["address"]), (&json!(7), &json!("https://10.0.0.7:9443")));
}

fn refused(ended: &Ended, message: &str) {
    assert_eq!(ended.status.code(), Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.starts_with("latchd: ") && ended.stderr.contains(message), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn unusable_backup_creates_no_directory() {
    let mut left = left();
    refused(&restore(&left, "old", &[]), "old is not empty: a backup is restored into a new one");
    let whole = std::fs::read(&left.backup).expect("the backup");
    let attempt = |left: &Left, bytes: &[u8], message: &str| {
        std::fs::write(&left.backup, bytes).expect("written");
        refused(&restore(left, "new", &[]), message);
        assert!(!left.home.path().join("new").exists(), "nothing is begun");
    };
    attempt(&left, &whole[..whole.len() - 1], "is no whole backup: it breaks off before its end");
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    attempt(&left, &damaged, "is no whole backup: ");
    attempt(&left, b"something else entirely", "this is no backup of latchd");
    left.backup = left.home.path().join("nothing");
    refused(&restore(&left, "new", &[]), "nothing cannot be read: No such file");
    left.backup = left.home.path().to_owned();
    refused(&restore(&left, "new", &[]), "cannot be read: ");
    left.backup = left.home.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&left.backup).status();
    assert!(made.is_ok_and(|made| made.success()));
    refused(&restore(&left, "new", &[]), "pipe cannot be read: it is not a regular file");
}

#[test]
fn restore_with_wrong_usage_reads_nothing() {
    let usage = |arguments: &[&str], message: &str| {
        let told = run_to_end(arguments);
        assert_eq!(told.status.code(), Some(2), "{arguments:?}: {}", told.stderr);
        assert!(told.stderr.contains(message), "{arguments:?}: {}", told.stderr);
    };
    usage(&["restore"], "--data-dir <DIR>");
    usage(&["restore", "file"], "--data-dir <DIR>");
    usage(&["restore", "--data-dir", "d"], "<FILE>");
    let id = |id| ["restore", "file", "--data-dir", "d", "--node-id", id];
    usage(&id("0"), "0 is not in 1..");
    usage(&id("9007199254740992"), "is not in 1..");
    usage(&id("one"), "invalid digit");
    let advertise = |url| ["restore", "file", "--data-dir", "d", "--advertise", url];
    usage(&advertise("10.0.0.7:9443"), "expected a URL like https://10.0.0.4:9443");
    usage(&advertise("http://10.0.0.7:9443"), "expected a URL like https://10.0.0.4:9443");
    assert!(!Path::new("d").exists());
}
