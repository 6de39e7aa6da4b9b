//! Three engines: each publishes the same events under the same ids, whoever leads, and however a node got its state.

use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

use latchd::domain::{Limits, Proof};
use latchd::engine::events::GapReason;
use latchd::engine::{ClusterOptions, Engine, EngineOptions};
use latchd::raft::StableStore;

use super::events_kit::{begun, everything, gap, next, read, said, step};
use super::service::{ask, hold, options, peers};
use crate::domain::kit::limits;
use crate::raft::network::{MemoryNetwork, SOON};
use crate::simulation::disk::SimulatedDisk;

const ALL: [u64; 3] = [1, 2, 3];

pub struct Cluster {
    network: MemoryNetwork,
    disks: Vec<SimulatedDisk>,
    pub nodes: Vec<Engine>,
}

impl Cluster {
    pub async fn start() -> Cluster {
        Cluster::with_limits(|_| limits()).await
    }

    /// Each node has the limits of its own configuration.
    pub async fn with_limits(limits: impl Fn(u64) -> Limits) -> Cluster {
        let disks: Vec<SimulatedDisk> = ALL.iter().map(|_| SimulatedDisk::new(Duration::ZERO)).collect();
        let mut cluster = Cluster { network: MemoryNetwork::default(), disks, nodes: Vec::new() };
        for id in ALL {
            let node = cluster.node(id, limits(id)).await;
            cluster.nodes.push(node);
        }
        for node in &cluster.nodes {
            ready(node).await;
        }
        cluster
    }

    async fn node(&self, id: u64, limits: Limits) -> Engine {
        let (transport, disk) = (self.network.transport(id), self.disks[id as usize - 1].clone());
        let cluster = ClusterOptions {
            node_id: id,
            peers: peers(&ALL),
            election_min: Duration::from_millis(600),
            election_max: Duration::from_secs(1),
            compare_every: Duration::from_millis(500),
            ..options(None).cluster
        };
        let (transport, store) = (Some(transport), Some(Arc::new(disk) as Arc<dyn StableStore>));
        let mut options = EngineOptions { cluster, limits, transport, store, ..options(None) };
        options.storage.snapshot_log_bytes = 4_000;
        Engine::start(options).await.expect("a node")
    }

    pub async fn stop(self) {
        for node in &self.nodes {
            node.stop().await;
        }
    }

    pub fn leader(&self) -> usize {
        self.nodes.iter().position(|node| node.overview().leader).expect("a leader")
    }
}

async fn ready(node: &Engine) {
    let ready = async {
        while !node.is_ready() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, ready).await.expect("ready in time");
}

pub async fn take_and_give_back(engine: &Engine, name: &str) {
    let (key, _) = hold(engine, ask(name)).await.unwrap();
    engine.release(ArcStr::from(name), None, Proof::Key(key)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_publishes_the_same_events_under_the_same_ids() {
    let cluster = Cluster::start().await;
    let mut readers = Vec::new();
    for node in &cluster.nodes {
        readers.push(begun(node, everything(), None).await.0);
    }
    for (turn, name) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        take_and_give_back(&cluster.nodes[turn % 3], name).await;
    }
    let told = next(&mut readers[0], 12).await;
    for reader in &mut readers[1..] {
        assert_eq!(next(reader, 12).await, told);
    }
    for (from, node) in cluster.nodes.iter().enumerate() {
        let (mut moved, _) = begun(node, everything(), Some(told[from].id)).await;
        assert_eq!(next(&mut moved, 11 - from).await, told[from + 1..]);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_waits_for_an_id_not_applied_here_yet() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    let (mut there, _) = begun(&cluster.nodes[leader], everything(), None).await;
    cluster.network.isolate(behind as u64 + 1, &ALL);
    take_and_give_back(&cluster.nodes[leader], "a").await;
    let told = next(&mut there, 2).await;
    let mut moved = read(&cluster.nodes[behind], everything(), Some(told[0].id));
    let early = tokio::time::timeout(Duration::from_millis(300), moved.next()).await;
    assert!(early.is_err(), "it cannot know yet: {early:?}");
    cluster.network.heal();
    step(&mut moved).await;
    assert_eq!(next(&mut moved, 1).await, told[1..]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshot_from_the_leader_is_a_gap_for_subscribers() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader();
    let behind = (leader + 1) % 3;
    let (mut reader, _) = begun(&cluster.nodes[behind], everything(), None).await;
    let (key, _) = hold(&cluster.nodes[leader], ask("before")).await.unwrap();
    assert_eq!(said(&next(&mut reader, 1).await), ["granted before"]);
    cluster.network.isolate(behind as u64 + 1, &ALL);
    hold(&cluster.nodes[leader], ask("meanwhile")).await.unwrap();
    // Until the leader has no log left that reaches back to there.
    let here = cluster.nodes[behind].overview().log.applied_index;
    while cluster.nodes[leader].overview().log.snapshot_index < here + 200 {
        let renewed = cluster.nodes[leader].renew(ArcStr::from("before"), None, Proof::Key(key), 60_000);
        renewed.await.expect("held");
    }
    cluster.network.heal();
    let (why, state) = gap(&mut reader).await;
    assert_eq!(why, GapReason::Snapshot);
    let names: Vec<&str> = state.locks.iter().map(|lock| &*lock.name).collect();
    assert_eq!(names, ["before", "meanwhile"]);
    take_and_give_back(&cluster.nodes[leader], "after").await;
    let events = next(&mut reader, 2).await;
    assert_eq!(said(&events), ["granted after", "released after"]);
    let (mut elsewhere, _) = begun(&cluster.nodes[leader], everything(), Some(events[0].id)).await;
    assert_eq!(next(&mut elsewhere, 1).await, events[1..]);
    cluster.stop().await;
}
