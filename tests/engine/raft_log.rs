//! What is proposed is applied, in order, and is there again after a restart.

use latchd::engine::raft::{ProposeError, RaftOptions, StartError, Store};

use super::raft_support::{on_disk, start};

#[tokio::test]
async fn memory_applies_in_order() {
    let (node, journal) = start(RaftOptions::new(1, Store::Memory)).await.expect("a node");
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
async fn disk_applies_again_after_a_restart() {
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
async fn a_directory_in_use_is_refused_and_free_after_shutdown() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, _) = start(on_disk(dir.path())).await.expect("a node");
    let refused = start(on_disk(dir.path())).await.err().expect("a refusal");
    assert!(matches!(refused, StartError::InUse { .. }), "{refused}");
    node.shutdown().await;
    let (node, _) = start(on_disk(dir.path())).await.expect("free again");
    node.shutdown().await;
}
