//! Probes and metrics.

use super::{body, lock, with_session};
use crate::support::client::Client;
use crate::support::spec::Spec;
use serde_json::json;

#[test]
fn probes_need_no_credential() {
    let server = Spec::in_memory().api_key("secret").start();
    let mut probe = Client::plain(&server);
    assert_eq!(probe.get("/livez").status, 200);
    let ready = probe.get("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
}

#[test]
fn metrics_count_without_naming_anybody() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    let key = lock(&mut client, "a-telling-name");
    lock(&mut client, "another");
    let released = body(&client.post("/v1/unlock", &json!({"name": "a-telling-name", "key": key})));
    assert_eq!(released["unlocked"], true);
    let answer = client.get("/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = answer.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in [
        "latchd_grants_total 2",
        "latchd_releases_total 1",
        "latchd_locks_held 1",
        "latchd_sessions 1",
        "latchd_waiters 0",
        "latchd_broken_invariants_total 0",
        "latchd_leader 1",
        "latchd_holds 1",
        "latchd_has_quorum 1",
        "latchd_members 1",
        "latchd_elections_total 1",
        "latchd_forwarded_commands_total 0",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} in:\n{text}");
    }
    assert!(text.contains("# TYPE latchd_http_request_seconds histogram"), "{text}");
    assert!(!text.contains("telling"), "lock names are no labels");
}

#[test]
fn metrics_have_histograms_of_batches_commits_and_flushes() {
    let home = tempfile::tempdir().expect("a directory");
    let server = Spec::durable(home.path()).start();
    let mut client = with_session(Client::plain(&server));
    (0..20).for_each(|n| drop(lock(&mut client, &format!("lock-{n}"))));
    let text = client.get("/metrics").text();
    let value = |name: &str| -> f64 {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in:\n{text}"));
        line.trim().parse().expect("a number")
    };
    assert!(value("latchd_entry_commands_count ") >= 21.0, "{text}");
    assert_eq!(value("latchd_entry_commands_sum "), value("latchd_commands_total "));
    for name in ["latchd_commit_seconds", "latchd_log_flush_seconds"] {
        assert!(value(&format!("{name}_count ")) >= 20.0, "{name}");
        assert!(value(&format!("{name}_sum ")) > 0.0, "{name}");
        assert_eq!(value(&format!("{name}_bucket{{le=\"+Inf\"}} ")), value(&format!("{name}_count ")));
    }
}
