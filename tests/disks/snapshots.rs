//! A snapshot that does not fit keeps the one before it and the log.

use std::path::Path;
use std::time::Duration;

use latchd::engine::raft::{RaftNode, RaftOptions};

use super::kit::home;
use crate::cluster::disk::SmallDisk;
use crate::engine::raft_support::{Journal, on_disk, start};

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
async fn a_snapshot_that_does_not_fit_keeps_the_one_before_and_is_tried_again() {
    let home = home();
    let dir = home.path().join("data");
    let disk = SmallDisk::mount(&dir);
    let (node, _) = start(small(&dir)).await.expect("a node");
    propose(&node, 60).await;
    until("a first snapshot", || node.progress().snapshot_index > 0 && snapshots(&dir).len() == 1).await;
    // The next one has 8 MB and more, of which half would fit beside what the log still takes.
    let (before, files) = (node.progress().snapshot_index, snapshots(&dir));
    disk.fill_but(12 << 20);
    propose(&node, 60).await;
    until("one that does not fit", || node.is_snapshot_unfit()).await;
    assert_eq!(
        (node.progress().snapshot_index, snapshots(&dir)),
        (before, files),
        "the one before is there, and no part"
    );
    propose(&node, 5).await;
    let log_bytes = node.progress().log_bytes;
    assert!(log_bytes >= (60 * ENTRY_BYTES) as u64, "{log_bytes} bytes of log are counted");
    node.shutdown().await;
    let (node, journal) = start(small(&dir)).await.expect("the old snapshot and the log are whole");
    assert_eq!(count(&journal), 125);
    disk.empty();
    until("one that fits", || node.progress().snapshot_index > before && !node.is_snapshot_unfit()).await;
    propose(&node, 1).await;
    node.shutdown().await;
    let (node, journal) = start(small(&dir)).await.expect("a node");
    assert_eq!(count(&journal), 126);
    node.shutdown().await;
}
