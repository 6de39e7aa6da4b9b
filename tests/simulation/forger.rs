//! An attacker at the port between nodes, perhaps with the certificate of a member, who forges votes and terms with the frames
//! of `tests/raft/impostor.rs`.

use std::sync::Arc;

use latchd::raft::{StableStore, Transport};

use super::stream::{Line, address};
use super::world::World;
use crate::raft::impostor::{APPEND, Impostor, SNAPSHOT_BEGIN, VOTE, append_request, vote, vote_request};

/// Nobody's own place in the network, and no member's id.
const OUTSIDE: u64 = 99;
const ABSURD_TERMS: [u64; 3] = [1 << 40, u64::MAX - 1, u64::MAX];
const NEAR_TERMS: [u64; 2] = [1 << 8, 1 << 16];

/// Every node is told of terms that no election led to: by a stranger of near ones too, which a member could come to.
pub fn begin(world: &World, as_member: Option<u64>) {
    let transport: Arc<dyn Transport> = Arc::new(Line::new(OUTSIDE, &world.network));
    let from = as_member.unwrap_or(OUTSIDE);
    let store = as_member.map_or([7; 16], |node| world.nodes[&node].disk.id());
    let near = if as_member.is_some() { &[][..] } else { &NEAR_TERMS };
    let terms: Vec<u64> = near.iter().chain(&ABSURD_TERMS).copied().collect();
    for to in world.nodes.keys().copied().filter(|to| *to != from) {
        let (transport, terms) = (transport.clone(), terms.clone());
        drop(world.spawn(async move {
            // A node that is down or cut off hears nothing of it.
            let Ok(mut forger) = Impostor::knock_with(&transport, &address(to), (from, store), to).await else {
                return;
            };
            for term in terms {
                let bodies = [
                    (VOTE, vote_request(term, from)),
                    (APPEND, append_request(term, from, None)),
                    (SNAPSHOT_BEGIN, vote(term, from, true)),
                ];
                for (kind, body) in bodies {
                    if forger.ask(kind, &body).await.is_err() {
                        return;
                    }
                }
            }
        }));
    }
}
