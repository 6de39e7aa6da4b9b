//! The dialects of a cluster share one table, whatever node they are spoken to.

use super::fleet::Fleet;
use super::wire::API_KEY;
use crate::dialects::dialect_client::{DialectClient, Protocol};

const NODES: u64 = 3;

/// One speaker of each dialect for each node; none of kufuli's waits.
fn clients(fleet: &Fleet) -> Vec<Vec<DialectClient>> {
    let of_node = |id| Protocol::ON_HTTP.map(|protocol| DialectClient::at(protocol, fleet.address(id), API_KEY)).into();
    (1..=NODES).map(of_node).collect()
}

#[test]
fn lock_of_one_dialect_is_held_for_all_dialects_and_nodes() {
    let mut fleet = Fleet::prepare(NODES, "[locks]\nkufuli_wait = \"0s\"\nkufuli_max_lock_span = \"10m\"\n");
    fleet.launch();
    let mut clients = clients(&fleet);
    let nodes = clients.len();
    let pairs = Protocol::ON_HTTP.into_iter().flat_map(|holds| Protocol::ON_HTTP.map(|asks| (holds, asks)));
    for (nth, (holds, asks)) in pairs.enumerate() {
        // The second node of a pair is each of the other two in turn.
        let (here, there) = (nth % nodes, (nth + 1 + nth / nodes % (nodes - 1)) % nodes);
        let name = format!("{holds:?}.{asks:?}");
        let what = format!("{name}, nodes {} and {}", here + 1, there + 1);
        let (holds, asks) = (holds as usize, asks as usize);
        let first = clients[here][holds].take(&name).unwrap_or_else(|| panic!("{what}: it was free"));
        assert!(clients[there][asks].take(&name).is_none(), "{what}: two hold it");
        assert!(clients[here][holds].give_back(&name), "{what}");
        let second = clients[there][asks].take(&name).unwrap_or_else(|| panic!("{what}: it is free again"));
        assert!(second.token > first.token, "{what}");
        assert!(clients[there][asks].give_back(&name), "{what}");
    }
}
