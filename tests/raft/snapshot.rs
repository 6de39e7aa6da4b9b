//! Snapshots bound the size of the log, on disk and in memory, and restore the state.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use latchd::raft::{Frozen, Machine, RaftNode, RaftOptions, Store};

use super::support::{Alone, lead, on_disk, raft_options, start};

/// Counts entries, so that its state stays small.
#[derive(Debug, Default, Clone)]
struct Counter(Arc<AtomicU64>);

impl Machine for Counter {
    fn apply(&mut self, _index: u64, _payload: &[u8]) {
        self.0.fetch_add(1, SeqCst);
    }

    fn freeze(&self) -> Frozen {
        let count = self.0.load(SeqCst);
        Box::new(move |out| out.write_all(&count.to_be_bytes()))
    }

    fn restore(&mut self, _index: u64, snapshot: &mut dyn Read) -> Result<(), String> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes).map_err(|e| e.to_string())?;
        self.0.store(u64::from_be_bytes(bytes), SeqCst);
        Ok(())
    }
}

fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let size = |path: &Path| match path.is_dir() {
        true => size(path),
        false => path.metadata().map_or(0, |file| file.len()),
    };
    entries.map(|entry| size(&entry.expect("an entry").path())).sum()
}

async fn start_counter(dir: &Path) -> (RaftNode, Counter) {
    let counter = Counter::default();
    let options = RaftOptions { snapshot_log_bytes: 1 << 20, ..on_disk(dir) };
    let node = RaftNode::start(options, counter.clone(), Arc::new(Alone)).await.expect("a node");
    lead(&node).await;
    (node, counter)
}

#[tokio::test]
async fn data_directory_stays_small_and_restarts_from_snapshot() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, _) = start_counter(dir.path()).await;
    // 64 MiB of log, through files of 4 MiB and a snapshot for each MiB.
    for _ in 0..1024 {
        node.propose(vec![7; 64 << 10].into()).await.expect("applied");
    }
    let before = node.progress();
    assert!(before.snapshot_index > 900, "{before:?}");
    node.shutdown().await;
    let bytes = size(dir.path());
    assert!(bytes < 14 << 20, "{bytes} bytes are left of 64 MiB");
    let (node, counter) = start_counter(dir.path()).await;
    node.propose(vec![7].into()).await.expect("applied");
    assert_eq!(counter.0.load(SeqCst), 1025);
    assert!(node.progress().snapshot_index >= before.snapshot_index);
    node.shutdown().await;
}

#[tokio::test]
async fn snapshot_and_later_log_restore_whole_state() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = RaftOptions { snapshot_log_bytes: 2000, ..on_disk(dir.path()) };
    let mut expected = Vec::new();
    for round in 0..5 {
        let (node, journal) = start(options.clone()).await.expect("a node");
        let snapshot = node.progress().snapshot_index;
        while node.progress().snapshot_index <= snapshot + 20 {
            let text = format!("{round} {}", expected.len());
            node.propose(text.clone().into()).await.expect("applied");
            expected.push(text);
        }
        node.propose("after".into()).await.expect("applied");
        expected.push("after".to_owned());
        assert_eq!(journal.strings(), expected);
        node.shutdown().await;
    }
}

#[tokio::test]
async fn next_snapshot_waits_for_as_much_log_as_last_snapshot() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let options = RaftOptions { snapshot_log_bytes: 1000, ..on_disk(dir.path()) };
    let (node, _) = start(options).await.expect("a node");
    let mut written = Vec::new();
    let mut last = 0;
    for _ in 0..2000 {
        node.propose(vec![b'x'; 100].into()).await.expect("applied");
        let index = node.progress().snapshot_index;
        if index != last {
            written.push(index);
            last = index;
        }
    }
    // The state is the whole log here, so that each snapshot must be about twice as large as the one before.
    assert!((4..=14).contains(&written.len()), "snapshots at {written:?}");
    node.shutdown().await;
}

#[tokio::test]
async fn memory_log_is_trimmed_after_snapshot() {
    let counter = Counter::default();
    let options = RaftOptions { snapshot_log_bytes: 100_000, ..raft_options(1, Store::Memory) };
    let node = RaftNode::start(options, counter.clone(), Arc::new(Alone)).await.expect("a node");
    lead(&node).await;
    for _ in 0..5000 {
        node.propose(vec![7; 1000].into()).await.expect("applied");
    }
    let progress = node.progress();
    assert!(progress.last_log_index - progress.snapshot_index < 500, "{progress:?}");
    assert_eq!(counter.0.load(SeqCst), 5000);
    node.shutdown().await;
}
