//! `/metrics` of a cluster: each node shows its own part, whatever the state of the others.

use crate::docs::block;
use crate::support::machine::{Machine, PATIENCE};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// One of each kind that operators of a cluster look at.
const SHOWN: [&str; 13] = [
    "latchd_leader ",
    "latchd_term ",
    "latchd_has_quorum ",
    "latchd_node_state{state=\"member\"} 1",
    "latchd_members 3",
    "latchd_feature_level ",
    "latchd_log_applied_index ",
    "latchd_elections_total ",
    "latchd_forwarded_commands_total ",
    "latchd_entry_commands_bucket{",
    "latchd_entry_commands_count ",
    "latchd_commit_seconds_bucket{",
    "latchd_log_flush_seconds_bucket{",
];

async fn scrape(client: &reqwest::Client, machine: &Machine, node: u64) -> String {
    let url = format!("https://{}:845{node}/metrics", machine.address);
    let answer = client.get(url).timeout(PATIENCE).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    answer.text().await.expect("text")
}

fn value(text: &str, line: &str) -> u64 {
    let found = text.lines().find_map(|shown| shown.strip_prefix(line)).unwrap_or_else(|| panic!("{line} in {text}"));
    found.trim().parse().expect("a whole number")
}

#[tokio::test]
async fn node_metrics_need_no_other_node() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let machine = Machine::new(36);
    machine.run(&block("docs/clusters.md", "sh three"));
    let lock = "for N in 1 2 3; do curl -s --cacert certs/dev-cert.pem -X POST https://127.0.0.1:845$N/lock/at$N; done";
    machine.run(lock);
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
    let mut shown = Vec::new();
    for node in 1..=3 {
        shown.push((node, scrape(&client, &machine, node).await));
    }
    for (node, text) in &shown {
        for line in SHOWN {
            assert!(text.lines().any(|shown| shown.starts_with(line)), "node {node} shows no {line}: {text}");
        }
        assert_eq!(value(text, "latchd_has_quorum "), 1, "node {node}");
        assert!(value(text, "latchd_log_applied_index ") > 0 && value(text, "latchd_entry_commands_count ") > 0);
    }
    let leads: Vec<u64> =
        shown.iter().filter(|(_, text)| value(text, "latchd_leader ") == 1).map(|(node, _)| *node).collect();
    let [leader] = leads.as_slice() else { panic!("led by {leads:?}") };
    let lags = |text: &str| text.lines().filter(|line| line.starts_with("latchd_peer_lag_entries{")).count();
    for (node, text) in &shown {
        assert_eq!(lags(text), if node == leader { 2 } else { 0 }, "node {node}: {text}");
        if node != leader {
            assert!(value(text, "latchd_forwarded_commands_total ") > 0, "node {node}: {text}");
        }
    }

    machine.signal(&format!("data{leader}"), Signal::STOP);
    for (node, _) in shown.iter().filter(|(node, _)| node != leader) {
        let began = Instant::now();
        scrape(&client, &machine, *node).await;
        let took = began.elapsed();
        assert!(took < Duration::from_millis(400), "node {node} needs {took:?} while the leader hangs");
    }
}
