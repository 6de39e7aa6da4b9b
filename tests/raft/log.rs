//! Proposals are applied in order, and again after a restart.

use std::os::unix::fs::PermissionsExt;

use latchd::raft::{NodeStartError, ProposeError, Store, free_bytes};

use super::support::{on_disk, raft_options, start};

#[tokio::test]
async fn memory_log_applies_entries_in_order() {
    let (node, journal) = start(raft_options(1, Store::Memory)).await.expect("a node");
    assert!(node.store_was_empty());
    let mut last = 0;
    for text in ["a", "b", "c"] {
        let index = node.propose(text.into()).await.expect("applied");
        assert!(index > last, "indexes rise");
        last = index;
    }
    assert_eq!(journal.strings(), ["a", "b", "c"]);
    let progress = node.progress();
    assert_eq!((progress.last_log_index, progress.applied_index), (last, last));
    node.shutdown().await;
    assert_eq!(node.propose("d".into()).await, Err(ProposeError::ShuttingDown));
    assert!(!node.leadership().borrow().is_leader);
}

#[tokio::test]
async fn disk_log_applies_entries_again_after_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, _) = start(on_disk(dir.path())).await.expect("a node");
    assert!(node.store_was_empty());
    for text in ["a", "b"] {
        node.propose(text.into()).await.expect("applied");
    }
    node.shutdown().await;
    let (node, journal) = start(on_disk(dir.path())).await.expect("the same node");
    assert!(!node.store_was_empty());
    node.propose("c".into()).await.expect("applied");
    assert_eq!(journal.strings(), ["a", "b", "c"]);
    node.shutdown().await;
}

#[tokio::test]
async fn data_directory_in_use_is_refused_until_shutdown() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, _) = start(on_disk(dir.path())).await.expect("a node");
    let refused = start(on_disk(dir.path())).await.err().expect("a refusal");
    assert!(matches!(refused, NodeStartError::InUse { .. }), "{refused}");
    node.shutdown().await;
    let (node, _) = start(on_disk(dir.path())).await.expect("free again");
    node.shutdown().await;
}

#[tokio::test]
async fn new_data_directory_is_private_to_owner() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("a/data");
    let (node, _) = start(on_disk(&data)).await.expect("a node");
    let mode = std::fs::metadata(&data).expect("the directory").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    node.shutdown().await;
}

/// Only for the power-loss proof, which must fail without it; otherwise the same node.
#[tokio::test]
async fn clean_restart_without_fsync_keeps_everything() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::Disk { dir: dir.path().to_owned(), fsync: false };
    for round in 1..4 {
        let (node, journal) = start(raft_options(1, store.clone())).await.expect("a node");
        node.propose("a".into()).await.expect("applied");
        assert_eq!(journal.strings().len(), round);
        node.shutdown().await;
    }
}

/// A restarted lone node leads at once and announces it.
#[tokio::test]
async fn leadership_is_announced_after_every_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut term = 0;
    for round in 0..4 {
        let (node, _) = start(on_disk(dir.path())).await.expect("a node that leads");
        let now = *node.leadership().borrow();
        assert!(now.is_leader && now.leader == Some(1) && now.term >= term, "round {round}: {now:?}");
        term = now.term;
        node.shutdown().await;
    }
}

/// A node that is dropped without a shutdown, as by an error, frees its directory too.
#[tokio::test]
async fn dropped_node_frees_its_data_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, _) = start(on_disk(dir.path())).await.expect("a node");
    node.propose("a".into()).await.expect("applied");
    let mut leadership = node.leadership();
    drop(node);
    while leadership.changed().await.is_ok() {}
    let (node, journal) = loop {
        match start(on_disk(dir.path())).await {
            Err(NodeStartError::InUse { .. }) => tokio::task::yield_now().await,
            other => break other.expect("the same node"),
        }
    };
    node.propose("b".into()).await.expect("applied");
    assert_eq!(journal.strings(), ["a", "b"]);
    node.shutdown().await;
}

#[tokio::test]
async fn free_disk_space_is_measured() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    assert!(free_bytes(dir.path()).expect("a file system") > 0);
    free_bytes(&dir.path().join("missing")).expect_err("no directory");
}
