//! The rings of all names. They are searched by hash, because a name is seldom near in memory to those that it would be
//! compared with; and read in the order of other records, by name within each shard.

use super::past_hold::PastHold;
use crate::domain::cow_map::{CowMap, FrozenMap, SHARDS, ShardKey};
use crate::domain::ids::{Name, Token};
use crate::domain::time::Timestamp;
use std::collections::VecDeque;

/// The past holds of one name, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ring(VecDeque<PastHold>);

#[derive(Default)]
pub struct Rings(CowMap<HashedName, Ring>);

/// A consistent view, not affected by later ends of holds.
pub struct FrozenRings(FrozenMap<HashedName, Ring>);

/// Ordered by the hash, and then by the name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashedName {
    hash: u64,
    name: Name,
}

impl Ring {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, past: PastHold) {
        if self.0.is_empty() {
            // Most names of a flood are used once.
            self.0.reserve_exact(1);
        }
        self.0.push_back(past);
    }

    pub(super) fn pop_oldest(&mut self) -> Option<PastHold> {
        self.0.pop_front()
    }

    pub(super) fn take(&mut self, ended: Timestamp, token: Token) -> Option<PastHold> {
        let at = self.0.iter().position(|past| (past.ended, past.token) == (ended, token))?;
        self.0.remove(at)
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PastHold> {
        self.0.iter()
    }
}

impl FromIterator<PastHold> for Ring {
    fn from_iter<I: IntoIterator<Item = PastHold>>(holds: I) -> Ring {
        Ring(holds.into_iter().collect())
    }
}

impl HashedName {
    fn of(name: &Name) -> HashedName {
        HashedName { hash: name.shard_hash(), name: name.clone() }
    }
}

impl ShardKey for HashedName {
    fn shard_hash(&self) -> u64 {
        self.hash
    }
}

impl Rings {
    pub fn get(&self, name: &Name) -> Option<&Ring> {
        self.0.get(&HashedName::of(name))
    }

    /// The ring of a name, which may be new; with the name as it is stored.
    pub fn of(&mut self, name: &Name) -> (Name, &mut Ring) {
        let (stored, ring) = self.0.upsert(HashedName::of(name), Ring::default(), |_, _| ());
        (stored.name, ring)
    }

    /// Adds a ring; whether it is new.
    pub fn insert(&mut self, name: &Name, ring: Ring) -> bool {
        self.0.insert(HashedName::of(name), ring).is_none()
    }

    /// Takes a part of a ring; an empty one is removed.
    pub fn take_from<T>(&mut self, name: &Name, take: impl FnOnce(&mut Ring) -> Option<T>) -> Option<T> {
        self.0.take_from(HashedName::of(name), take, |ring| ring.len() == 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Ring)> {
        self.0.iter().map(|(hashed, ring)| (&hashed.name, ring))
    }

    pub fn freeze(&self) -> FrozenRings {
        FrozenRings(self.0.freeze())
    }
}

impl FrozenRings {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Shard by shard.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Ring)> {
        (0..SHARDS).flat_map(|shard| self.part(shard))
    }

    /// One shard, in the order of the names.
    pub fn part(&self, shard: usize) -> impl Iterator<Item = (&Name, &Ring)> {
        let mut part: Vec<_> = self.0.part(shard).map(|(hashed, ring)| (&hashed.name, ring)).collect();
        part.sort_unstable_by_key(|(name, _)| *name);
        part.into_iter()
    }
}
