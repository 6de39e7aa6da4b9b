//! A snapshot that does not fit on the disk leaves the previous snapshot and the log in place.

use std::path::Path;
use std::time::Duration;

use latchd::raft::{RaftNode, RaftOptions};

use super::kit::home;
use crate::cluster::disk::SmallDisk;
use crate::raft::network::{MemoryNetwork, disk, leader, stop, three};
use crate::raft::support::{Journal, on_disk, start};

const ENTRY_BYTES: usize = 100 << 10;
const SOON: Duration = Duration::from_secs(10);

fn small(dir: &Path) -> RaftOptions {
    RaftOptions { snapshot_log_bytes: 1 << 20, ..on_disk(dir) }
}

async fn propose(node: &RaftNode, entries: usize) {
    for _ in 0..entries {
        node.propose(vec![b'x'; ENTRY_BYTES].into()).await.expect("applied");
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let asked = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, asked).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

fn snapshots(dir: &Path) -> Vec<String> {
    let files = std::fs::read_dir(dir.join("snapshot")).expect("the directory");
    files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}

fn count(journal: &Journal) -> usize {
    journal.entries().len()
}

#[tokio::test]
async fn unfit_snapshot_keeps_previous_and_is_retried() {
    let home = home();
    let dir = home.path().join("data");
    let disk = SmallDisk::mount(&dir);
    let (node, _) = start(small(&dir)).await.expect("a node");
    propose(&node, 60).await;
    until("a first snapshot", || node.progress().snapshot_index > 0 && snapshots(&dir).len() == 1).await;
    disk.fill_but(12 << 20);
    // Each is taken at twice the size of the one before, so that the next or the one after it is too large.
    let mut entries = 60;
    while !node.is_snapshot_unfit() && entries < 140 {
        propose(&node, 1).await;
        entries += 1;
    }
    until("one that does not fit", || node.is_snapshot_unfit()).await;
    until("its part is removed", || snapshots(&dir).len() == 1).await;
    let (before, files) = (node.progress().snapshot_index, snapshots(&dir));
    assert_eq!((before > 0, files.len()), (true, 1), "the one before is there, and no part: {files:?}");
    propose(&node, 5).await;
    assert!(node.progress().log_bytes > before * ENTRY_BYTES as u64 / 2, "the log since then is counted");
    assert_eq!((node.progress().snapshot_index, node.is_snapshot_unfit()), (before, true));
    node.shutdown().await;
    let (node, journal) = start(small(&dir)).await.expect("the old snapshot and the log are whole");
    assert_eq!(count(&journal), entries + 5);
    disk.empty();
    until("one that fits", || node.progress().snapshot_index > before && !node.is_snapshot_unfit()).await;
    propose(&node, 1).await;
    node.shutdown().await;
    let (node, journal) = start(small(&dir)).await.expect("a node");
    assert_eq!(count(&journal), entries + 6);
    node.shutdown().await;
}

/// A follower that was away is sent a snapshot larger than the free space on its disk.
#[tokio::test]
async fn follower_without_space_for_snapshot_catches_up_later() {
    let home = home();
    let small_disk = SmallDisk::mount(&home.path().join("node-3"));
    let network = MemoryNetwork::default();
    let options = |id| RaftOptions { snapshot_log_bytes: 1 << 20, ..disk(id, home.path()) };
    let nodes = three(&network, options).await;
    let lead = leader(&nodes).await;
    if lead.id == 3 {
        lead.raft.transfer_leadership().await.expect("another leads");
    }
    let lead = leader(&nodes).await;
    assert_ne!(lead.id, 3);
    let away = nodes[2].clone();
    network.isolate(3, &[1, 2, 3]);
    propose(&lead.raft, 80).await;
    until("the log before the snapshot is gone", || lead.raft.purged_index() > Some(10)).await;
    small_disk.fill_but(4 << 20);
    network.heal();
    let is_receiving = || snapshots(&home.path().join("node-3")).iter().any(|name| name.starts_with("incoming"));
    until("a snapshot arrives", is_receiving).await;
    until("it is given up", || !is_receiving()).await;
    small_disk.empty();
    let index = lead.propose("after").await;
    away.applies(index).await;
    assert_eq!(away.journal.entries(), lead.journal.entries());
    stop(&nodes).await;
}
