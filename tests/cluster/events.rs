//! The events of a cluster of processes: the same on every node, through the death of the leader and its return.

use std::net::SocketAddr;

use serde_json::Value;

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Lock, Speaker};
use super::wire::API_KEY;
use crate::support::sse::Events;

fn read(at: SocketAddr, after: Option<&Value>) -> Events {
    let key = format!("X-API-Key: {API_KEY}");
    let after = after.map(|id| format!("Last-Event-ID: {}", id.as_str().expect("an id")));
    let headers: Vec<&str> = [Some(key.as_str()), after.as_deref()].into_iter().flatten().collect();
    let mut events = Events::open_tls(at, "/v1/events?prefix=told%2F", &headers);
    assert_eq!(events.status, 200);
    events.expect("started");
    events
}

fn next(events: &mut Events, count: usize) -> Vec<Value> {
    (0..count).map(|_| events.event().1).collect()
}

/// Takes a lock and gives it back, at this node.
fn cycle(at: SocketAddr, name: &str) {
    let mut speaker = Speaker::open(at);
    let grant = speaker.take(Lock::named(name));
    speaker.give_back(name, &grant.key);
}

#[test]
fn event_reader_that_changes_nodes_misses_nothing() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let nodes: Vec<SocketAddr> = fleet.ids().into_iter().map(|id| fleet.address(id)).collect();
    let mut readers: Vec<Events> = nodes.iter().map(|at| read(*at, None)).collect();
    for (at, name) in nodes.iter().zip(["told/a", "told/b", "told/c"]) {
        cycle(*at, name);
        cycle(*at, "another");
    }
    let mut told = next(&mut readers[0], 6);
    for reader in &mut readers[1..] {
        assert_eq!(next(reader, 6), told);
    }
    let dead = fleet.leader();
    fleet.node(dead).kill();
    let left: Vec<u64> = fleet.ids().into_iter().filter(|id| *id != dead).collect();
    for (id, name) in left.iter().zip(["told/d", "told/e"]) {
        cycle(fleet.address(*id), name);
    }
    let survivor = fleet.ids().iter().position(|id| *id == left[0]).expect("it is one of them");
    told.extend(next(&mut readers[survivor], 4));
    let mut moved = read(fleet.address(left[1]), Some(&told[2]["id"]));
    assert_eq!(next(&mut moved, 7), told[3..], "from the dead node to another");
    fleet.start_node(dead);
    fleet.wait_until_ready();
    let mut back = read(fleet.address(dead), Some(&told[0]["id"]));
    assert_eq!(next(&mut back, 9), told[1..], "also from the log that the node came back with");
}
