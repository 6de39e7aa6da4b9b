//! `/v1/cluster` and `/v1/backup` on a node that runs alone.

use super::credentials::{client, server};
use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::spec::Spec;
use latchd::domain::Table;
use latchd::engine::backup_reader;
use serde_json::json;

#[test]
fn every_role_may_show_the_cluster() {
    let server = server();
    for name in ["boss", "worker", "reader", "build"] {
        let answer = client(&server, name).get("/v1/cluster");
        let shown = body(&answer);
        assert_eq!((shown["node"].as_u64(), shown["leader"].as_u64()), (Some(1), Some(1)), "{shown}");
        assert_eq!(shown["has_quorum"], true);
        let only = json!([{"node": 1, "address": "", "role": "leader", "up": true, "lag_entries": 0}]);
        assert_eq!(shown["members"], only);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    problem(&Client::tls(&server).get("/v1/cluster"), 401, "credential-missing");
}

#[test]
fn changes_and_backup_need_an_admin_of_every_name() {
    let server = server();
    let four = json!({"node": 4, "address": "https://127.0.0.1:9443"});
    for name in ["worker", "reader", "build"] {
        let mut caller = client(&server, name);
        problem(&caller.post("/v1/cluster/members", &four), 403, "forbidden");
        problem(&caller.send("POST", "/v1/cluster/members/4/promote", b""), 403, "forbidden");
        problem(&caller.delete("/v1/cluster/members/4"), 403, "forbidden");
        problem(&caller.get("/v1/backup"), 403, "forbidden");
    }
    let mut boss = client(&server, "boss");
    let alone = problem(&boss.post("/v1/cluster/members", &four), 409, "runs-alone");
    assert!(alone["detail"].as_str().expect("a detail").contains("--peer-listen"), "{alone}");
    problem(&boss.send("POST", "/v1/cluster/members/1/promote", b""), 409, "member-exists");
    problem(&boss.delete("/v1/cluster/members/1"), 409, "would-lose-quorum");
}

#[test]
fn invalid_members_are_refused_with_their_field() {
    let server = Spec::in_memory().start();
    let mut admin = Client::plain(&server);
    for (asked, field) in [
        (json!({"node": 0, "address": "https://127.0.0.1:9443"}), "node"),
        (json!({"node": 9_007_199_254_740_992_u64, "address": "https://127.0.0.1:9443"}), "node"),
        (json!({"node": 4, "address": "http://127.0.0.1:9443"}), "address"),
        (json!({"node": 4, "address": ""}), "address"),
    ] {
        let refused = problem(&admin.post("/v1/cluster/members", &asked), 400, "invalid-field");
        assert_eq!(refused["field"], field, "{asked}");
    }
    for text in ["", "{}", "[]", r#"{"node": "4", "address": "x"}"#, r#"{"node": 4, "address": "x", "voter": true}"#] {
        problem(&admin.send("POST", "/v1/cluster/members", text.as_bytes()), 400, "malformed-body");
    }
    for target in
        ["/v1/cluster/members/0", "/v1/cluster/members/x", "/v1/cluster/members/-1", "/v1/cluster/members/%ff"]
    {
        problem(&admin.delete(target), 400, "invalid-field");
    }
    problem(&admin.delete("/v1/cluster"), 405, "method-not-allowed");
}

#[test]
fn backup_has_the_whole_state_with_checksums() {
    let server = Spec::in_memory().api_key("boss").start();
    let mut admin = with_session(Client::tls(&server).with_header("X-API-Key", "boss"));
    let key = lock(&mut admin, "kept");
    let answer = admin.get("/v1/backup");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/octet-stream")));
    let mut reader = backup_reader(answer.body.as_slice()).expect("a backup");
    let table = Table::restore(&mut reader).expect("a table");
    assert_eq!((table.counts().locks, table.counts().sessions), (1, 1));
    let log = server.stop().stderr;
    assert!(log.contains("command-line-key-1 takes a backup") && !log.contains(&key), "{log}");
}
