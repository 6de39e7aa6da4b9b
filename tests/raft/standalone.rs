//! A node without peers: its entries are applied when they are on disk, and its data directory is that of any other node.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::poll;
use latchd::raft::{EntrySource, NodeStartError, PeerOptions, RaftOptions, Store};

use super::network::MemoryNetwork;
use super::support::{on_disk, raft_options, start};
use crate::simulation::disk::SimulatedDisk;

const SYNC: Duration = Duration::from_millis(50);

/// What waits to be proposed: all of it becomes one entry.
#[derive(Default, Clone)]
struct Waiting(Arc<Mutex<Vec<&'static str>>>);

impl Waiting {
    fn add(&self, text: &'static str) {
        self.0.lock().expect("no panic while locked").push(text);
    }
}

impl EntrySource for Waiting {
    fn next(&self) -> Option<Bytes> {
        let waiting = std::mem::take(&mut *self.0.lock().expect("no panic while locked"));
        (!waiting.is_empty()).then(|| waiting.join("+").into())
    }

    fn applied(&self, _took: Duration) {}
}

fn on_simulated(disk: &SimulatedDisk) -> RaftOptions {
    raft_options(1, Store::Stable(Arc::new(disk.clone())))
}

#[tokio::test(start_paused = true)]
async fn entry_is_applied_only_after_its_flush() {
    let disk = SimulatedDisk::new(SYNC);
    let (node, journal) = start(on_simulated(&disk)).await.expect("a node");
    let mut proposal = pin!(node.propose("a".into()));
    assert!(poll!(proposal.as_mut()).is_pending());
    assert!(journal.strings().is_empty(), "it is written, and not on disk");
    proposal.await.expect("applied");
    assert_eq!(journal.strings(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn entries_that_arrive_during_a_flush_share_the_next() {
    let disk = SimulatedDisk::new(SYNC);
    let (node, journal) = start(on_simulated(&disk)).await.expect("a node");
    let waiting = Waiting::default();
    node.take_from(Arc::new(waiting.clone()));
    for text in ["a", "b", "c"] {
        waiting.add(text);
        node.append_pending();
    }
    node.propose("last".into()).await.expect("applied");
    assert_eq!(journal.strings(), ["a", "last"], "what was proposed by name goes first");
    node.applied(node.progress().last_log_index).await;
    assert_eq!(journal.strings(), ["a", "last", "b+c"]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_the_flush_under_way() {
    let disk = SimulatedDisk::new(SYNC);
    let (node, journal) = start(on_simulated(&disk)).await.expect("a node");
    let mut proposal = pin!(node.propose("a".into()));
    assert!(poll!(proposal.as_mut()).is_pending());
    node.shutdown().await;
    proposal.await.expect("answered");
    assert_eq!(journal.strings(), ["a"]);
    let (_node, journal) = start(on_simulated(&disk)).await.expect("the same node");
    assert_eq!(journal.strings(), ["a"]);
}

#[tokio::test]
async fn memory_entry_is_applied_in_the_task_that_appends_it() {
    let (node, journal) = start(raft_options(1, Store::Memory)).await.expect("a node");
    let waiting = Waiting::default();
    node.take_from(Arc::new(waiting.clone()));
    waiting.add("a");
    node.append_pending();
    assert_eq!(journal.strings(), ["a"]);
}

#[tokio::test]
async fn data_directory_is_used_alone_with_peers_and_alone_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut expected = Vec::new();
    let mut last_index = 0;
    for (round, with_peers) in [false, true, false, false, true].into_iter().enumerate() {
        let mut options = on_disk(dir.path());
        if with_peers {
            let (advertise, initial) = ("https://a:1".to_owned(), BTreeMap::new());
            options.peers = Some(PeerOptions { advertise, initial, transport: MemoryNetwork::default().transport(1) });
        }
        let (node, journal) = start(options).await.expect("a node");
        for n in 0..3 {
            let text = format!("{round}/{n}");
            let index = node.propose(text.clone().into()).await.expect("applied");
            assert!(index > last_index, "indexes go on");
            last_index = index;
            expected.push(text);
        }
        assert_eq!(journal.strings(), expected, "round {round}");
        node.shutdown().await;
    }
}

#[tokio::test]
async fn node_alone_refuses_the_directory_of_another_node() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, _) = start(on_disk(dir.path())).await.expect("a node");
    node.shutdown().await;
    let refused = start(RaftOptions { node_id: 2, ..on_disk(dir.path()) }).await.err().expect("a refusal");
    assert!(matches!(refused, NodeStartError::OtherNode { .. }), "{refused}");
}
