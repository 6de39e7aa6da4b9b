//! Looking up the leader of an election, through the engine: on any node, and while an entry is on its way.

use std::sync::Arc;
use std::time::Duration;

use arcstr::ArcStr;
use latchd::domain::{Acquire, Proof, SessionId, Terms};
use latchd::engine::events::{EventFilter, NameFilter};
use latchd::engine::{Engine, EngineOptions};

use super::events_across_nodes::Cluster;
use super::events_kit::{begun, next, said};
use super::service::{ask, hold, options};
use crate::simulation::disk::SimulatedDisk;

const SYNC: Duration = Duration::from_millis(300);
/// `limits()` of these tests.
const RELIABLE: Duration = Duration::from_secs(1);

fn name() -> ArcStr {
    ArcStr::from("primary")
}

fn candidate(value: &str, session: SessionId) -> Acquire {
    let terms = Terms { value: Some(value.into()), ..Terms::default() };
    Acquire { session: Some(session), terms: Some(Arc::new(terms)), ..ask("primary") }
}

async fn opened(engine: &Engine) -> SessionId {
    engine.open_session(None, Default::default()).await.expect("a session")
}

async fn reliable_for(engine: &Engine) -> Option<Duration> {
    engine.leader(&name()).await.expect("a quorum").map(|leader| leader.reliable_for)
}

/// The release is stamped, and its flush takes a while. Meanwhile a reader may be told of the leader, but not for a whole
/// second: the next leader may come a second after the stamp.
#[tokio::test(start_paused = true)]
async fn lookup_counts_from_the_entry_on_its_way() {
    let mut with_slow_disk: EngineOptions = options(None);
    with_slow_disk.store = Some(Arc::new(SimulatedDisk::new(SYNC)));
    let engine = Engine::start(with_slow_disk).await.expect("a node alone");
    let session = opened(&engine).await;
    let (key, _) = hold(&engine, candidate("one", session)).await.expect("elected");
    // Nothing is on its way, not even a tick.
    while reliable_for(&engine).await != Some(RELIABLE) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let resigning = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.release(name(), None, Proof::Key(key)).await.is_ok() })
    };
    tokio::time::sleep(SYNC / 2).await;
    let told = reliable_for(&engine).await.expect("it leads until the entry is flushed");
    assert!(told <= RELIABLE - SYNC / 2, "{told:?}");
    assert!(told > Duration::ZERO, "{told:?}");
    assert!(resigning.await.expect("no panic"));
    assert_eq!(reliable_for(&engine).await, None);
    engine.stop().await;
}

#[tokio::test]
async fn every_node_names_the_leader_and_its_changes() {
    let cluster = Cluster::start().await;
    let session = opened(&cluster.nodes[0]).await;
    let wanted = || EventFilter { names: NameFilter::Election(name()), sessions: false };
    let mut readers = Vec::new();
    for node in &cluster.nodes {
        readers.push(begun(node, wanted(), None).await.0);
    }
    hold(&cluster.nodes[1], ask("elsewhere")).await.expect("granted");
    let (key, token) = hold(&cluster.nodes[0], candidate("one", session)).await.expect("elected");
    for node in &cluster.nodes {
        let leader = node.leader(&name()).await.expect("a quorum").expect("a leader");
        assert_eq!((&*leader.value, leader.token.0), ("one", token));
        assert!(leader.reliable_for > Duration::ZERO && leader.reliable_for <= RELIABLE, "{leader:?}");
        assert_eq!(node.live_tokens(&name()).await.expect("a quorum"), [leader.token]);
    }
    let changed = cluster.nodes[2].set_value(name(), Some(session), key, "two".into()).await.expect("changed");
    assert_eq!(changed.token.0, token);
    cluster.nodes[1].release(name(), Some(session), Proof::Key(key)).await.expect("resigned");
    let mut told = Vec::new();
    for reader in &mut readers {
        told.push(next(reader, 3).await);
    }
    assert_eq!(said(&told[0]), ["granted primary", "value two primary", "released primary"]);
    assert!(told.iter().all(|events| *events == told[0]), "on every node the same, under the same ids");
    for node in &cluster.nodes {
        assert_eq!(node.leader(&name()).await.expect("a quorum"), None);
    }
    cluster.stop().await;
}
