//! Stores that are bootstrapped from a snapshot, and simulated stores that lose their power.

use std::sync::Arc;
use std::time::Duration;

use latchd::raft::{NodeStartError, RaftOptions, Store, bootstrap_from_snapshot};

use super::support::{Journal, on_disk, raft_options, start};
use crate::simulation::disk::SimulatedDisk;

const SYNC: Duration = Duration::from_millis(50);

fn snapshot(entries: &[&str]) -> Vec<u8> {
    let entry = |text: &&str| [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat();
    entries.iter().flat_map(entry).collect()
}

#[test]
fn store_bootstrapped_from_snapshot_starts_with_its_state() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let content = snapshot(&["a", "b"]);
    bootstrap_from_snapshot(&data, 1, "https://a:1", 1 << 50, content.clone()).expect("seeded");
    let again = bootstrap_from_snapshot(&data, 1, "https://a:1", 1 << 50, content.clone()).expect_err("it is there");
    assert!(matches!(again, NodeStartError::NotEmpty { .. }), "{again}");
    let runtime = runtime();
    for expected in [&["a", "b", "c"][..], &["a", "b", "c", "c"]] {
        runtime.block_on(async {
            let (node, journal) = start(on_disk(&data)).await.expect("a node");
            assert!(!node.store_was_empty());
            node.propose("c".into()).await.expect("applied");
            assert_eq!(journal.strings(), expected);
            let members = node.members();
            assert!(members.len() == 1 && members[0].address == "https://a:1" && members[0].voter, "{members:?}");
            node.shutdown().await;
        });
    }
    let other = runtime.block_on(start(RaftOptions { node_id: 2, ..on_disk(&data) })).err().expect("a refusal");
    assert!(matches!(other, NodeStartError::OtherNode { .. }), "{other}");
}

async fn on_simulated(disk: &SimulatedDisk) -> (latchd::raft::RaftNode, Journal) {
    let options = RaftOptions { snapshot_log_bytes: 2000, ..raft_options(1, Store::Stable(Arc::new(disk.clone()))) };
    start(options).await.expect("a node")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Runs a node until it is writing an entry, and ends it there with all of its tasks.
fn crash_while_writing(disk: &SimulatedDisk, expected: &mut Vec<String>) {
    runtime().block_on(async {
        let (node, journal) = on_simulated(disk).await;
        for _ in 0..8 {
            let text = format!("{:0100}", expected.len());
            node.propose(text.clone().into()).await.expect("applied");
            expected.push(text);
        }
        assert_eq!(&journal.strings(), expected);
        // Unless the machine held this up until the entry was on disk.
        while tokio::time::timeout(SYNC / 5, node.propose("unsynced".into())).await.is_ok() {
            expected.push("unsynced".to_owned());
        }
    });
}

#[test]
fn power_loss_on_simulated_disk_keeps_answered_entries() {
    let disk = SimulatedDisk::new(SYNC);
    let mut expected = Vec::new();
    for _ in 0..4 {
        crash_while_writing(&disk, &mut expected);
        disk.lose_unsynced(0);
    }
}

#[test]
fn unanswered_entry_may_survive_crash() {
    let disk = SimulatedDisk::new(SYNC);
    let mut expected = Vec::new();
    crash_while_writing(&disk, &mut expected);
    runtime().block_on(async {
        let (node, journal) = on_simulated(&disk).await;
        assert!(!node.store_was_empty());
        node.propose("after".into()).await.expect("applied");
        expected.extend(["unsynced".to_owned(), "after".to_owned()]);
        assert_eq!(journal.strings(), expected);
        node.shutdown().await;
    });
}
