//! Nodes that are behind catch up from the log, or from a snapshot if the log was purged, while new entries keep coming.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use latchd::raft::RaftOptions;

use super::network::{MemoryNetwork, Node, SOON, address, disk, leader, memory, others, stop, three};

fn entry(number: usize) -> String {
    format!("{number:08}").repeat(16 << 10)
}

async fn learner_gets_a_snapshot(options: impl Fn(u64) -> RaftOptions) {
    let network = MemoryNetwork::default();
    let options = |id| RaftOptions { snapshot_log_bytes: 1 << 20, ..options(id) };
    let lead = Node::start(&network, options(1), &[]).await.expect("a cluster of one");
    lead.follows(&[1]).await;
    // 24 MiB of state, and a log that no longer begins with the first entry.
    for number in 0..192 {
        lead.propose(&entry(number)).await;
    }
    // Snapshots are built beside the writes: where the machine is busy the first may still be on its way.
    while lead.raft.purged_index().is_none() {
        lead.propose(&entry(7)).await;
    }
    let newcomer = Node::start(&network, options(2), &[1, 2]).await.expect("a node");
    let stops = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (lead, stops) = (lead.clone(), stops.clone());
        async move {
            let mut last = 0;
            while !stops.load(SeqCst) {
                last = lead.propose("meanwhile").await;
            }
            last
        }
    });
    tokio::time::timeout(SOON, lead.raft.add_learner(2, address(2))).await.expect("in time").expect("added");
    stops.store(true, SeqCst);
    let last = writer.await.expect("no panic");
    newcomer.applies(last).await;
    assert!(newcomer.raft.progress().snapshot_index > 0, "{:?}", newcomer.raft.progress());
    assert!(newcomer.journal.entries() == lead.journal.entries(), "the same state");
    lead.knows_up_to(2, last).await;
    lead.raft.promote(2).await.expect("caught up");
    stop(&[lead, newcomer]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn learner_on_disk_receives_snapshot() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    learner_gets_a_snapshot(|id| disk(id, dir.path())).await;
    let left = std::fs::read_dir(dir.path().join("node-2/snapshot")).expect("a directory").count();
    assert_eq!(left, 1, "nothing is left beside the snapshot");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn learner_in_memory_receives_snapshot() {
    learner_gets_a_snapshot(memory).await;
}

/// The log that is kept behind a snapshot lets a node that was away for a short time catch up without one.
#[tokio::test]
async fn briefly_absent_follower_catches_up_from_log() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = |id| RaftOptions { snapshot_log_bytes: 1 << 20, ..disk(id, dir.path()) };
    let nodes = three(&network, options).await;
    let lead = leader(&nodes).await;
    let away = others(&nodes, &lead).remove(0);
    for number in 0..20 {
        lead.propose(&entry(number)).await;
    }
    let index = lead.propose("seen by all").await;
    away.applies(index).await;
    away.raft.shutdown().await;
    let own_snapshot = away.raft.progress().snapshot_index;
    while lead.raft.progress().snapshot_index <= own_snapshot {
        lead.propose(&entry(7)).await;
    }
    let back = Node::start(&network, options(away.id), &[1, 2, 3]).await.expect("restarted");
    let index = lead.propose("welcome back").await;
    back.applies(index).await;
    assert!(back.journal.entries() == lead.journal.entries(), "the same state");
    let covered = lead.raft.progress().snapshot_index;
    assert!(covered > own_snapshot, "the leader has a newer snapshot");
    assert_ne!(back.raft.progress().snapshot_index, covered, "which was not needed");
    stop(&others(&nodes, &away)).await;
    back.raft.shutdown().await;
}
