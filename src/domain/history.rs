//! The history of each name: its last holds that have ended.
//!
//! Two limits bound it: how many are kept of each name, and the memory of all. Where the memory is full, the oldest goes of the
//! caller that has most in it. So one that takes thousands of names forgets its own history, and not that of others, and no
//! share has to be set. None of this is counted with what callers hold: the end of a hold is never refused, and what is
//! remembered of it never keeps anybody from a grant.

mod order;
mod past_hold;
mod rings;

pub use past_hold::{PastHold, RarePast};
pub use rings::{FrozenRings, Ring};

use super::ids::Name;
use super::limits::Limits;
use order::Order;
use rings::Rings;

/// What one end of a hold may push out, after the limit was lowered.
const DROPPED_AT_ONCE: usize = 64;

#[derive(Default)]
pub struct History {
    rings: Rings,
    order: Order,
}

impl History {
    /// How many holds are remembered, and in how many bytes.
    pub fn size(&self) -> (usize, u64) {
        (self.order.len(), self.order.bytes())
    }

    pub fn of(&self, name: &Name) -> Option<&Ring> {
        self.rings.get(name)
    }

    pub fn freeze(&self) -> FrozenRings {
        self.rings.freeze()
    }

    /// Adds what a snapshot has; whether it is new. [`History::restored`] has to follow the last.
    pub fn insert(&mut self, name: &Name, ring: Ring) -> bool {
        self.rings.insert(name, ring)
    }

    /// All rings of a snapshot are there. In the order of their ends each has its place at the end of a queue.
    pub fn restored(&mut self) {
        let mut all: Vec<_> =
            self.rings.iter().flat_map(|(name, ring)| ring.iter().map(move |past| (name, past))).collect();
        all.sort_unstable_by_key(|(name, past)| (past.ended, past.token, *name));
        self.order = Order::default();
        all.into_iter().for_each(|(name, past)| self.order.add(name.clone(), past));
    }

    /// Remembers the end of a hold.
    pub fn push(&mut self, name: &Name, past: PastHold, limits: &Limits) {
        let (name, ring) = self.rings.of(name);
        while ring.len() as u64 >= limits.history_per_lock
            && let Some(oldest) = ring.pop_oldest()
        {
            self.order.remove(&name, &oldest);
        }
        self.order.add(name, &past);
        ring.push(past);
        for _ in 0..DROPPED_AT_ONCE {
            if self.order.bytes() <= limits.history_bytes_max || !self.drop_oldest() {
                break;
            }
        }
    }

    /// Drops the oldest of whoever has most; whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some(next) = self.order.take_next() else { return false };
        let past = self.rings.take_from(&next.name, |ring| ring.take(next.ended, next.token));
        past.iter().for_each(|past| self.order.taken(&next.name, past));
        past.is_some()
    }
}
