//! A copy-on-write map in shards: a snapshot reads it while writes go on.
//!
//! Freezing costs one reference count per shard, whatever the map holds. Afterwards the first write to a shard copies
//! that shard alone, so a snapshot of a million locks never stalls a grant.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::sync::Arc;

pub const SHARDS: usize = 4096;

/// A key that determines its shard. The hash must never change: the order of snapshots follows from it.
pub trait ShardKey: Ord + Clone {
    fn shard_hash(&self) -> u64;
}

pub struct CowMap<K, V> {
    shards: Box<[Arc<BTreeMap<K, V>>]>,
    len: usize,
}

/// A consistent view of the map, not affected by later writes.
pub struct FrozenMap<K, V> {
    shards: Vec<Arc<BTreeMap<K, V>>>,
    len: usize,
}

impl<K: ShardKey, V: Clone> Default for CowMap<K, V> {
    /// All shards share one empty map until they are written.
    fn default() -> Self {
        CowMap { shards: vec![Arc::default(); SHARDS].into(), len: 0 }
    }
}

impl<K: ShardKey, V: Clone> CowMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.shards[shard(key)].get(key)
    }

    /// The key as it is stored, with its value: lets callers share the stored name.
    pub fn get_key_value(&self, key: &K) -> Option<(&K, &V)> {
        self.shards[shard(key)].get_key_value(key)
    }

    /// Behind this key, in the order of [`CowMap::iter`]; everything without one.
    pub fn iter_after<'a>(&'a self, key: Option<&K>) -> impl Iterator<Item = (&'a K, &'a V)> {
        let first = key.map_or(0, shard);
        let start = key.map_or(Bound::Unbounded, Bound::Excluded);
        let in_first = self.shards[first].range((start, Bound::Unbounded));
        in_first.chain(self.shards[first + 1..].iter().flat_map(|shard| shard.iter()))
    }

    /// Copies the shard if a snapshot reads it: call this only to write.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.shard_mut(key).get_mut(key)
    }

    /// The same with the key as it is stored.
    pub fn get_key_value_mut(&mut self, key: &K) -> Option<(&K, &mut V)> {
        self.shard_mut(key).range_mut::<K, _>(key..=key).next()
    }

    /// Gives the value that was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.shard_mut(&key).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Inserts a value, or changes the existing one, in one search. Returns the key as it is stored.
    pub fn upsert(&mut self, key: K, value: V, change: impl FnOnce(&mut V, V)) -> (K, &mut V) {
        match Arc::make_mut(&mut self.shards[shard(&key)]).entry(key) {
            Entry::Occupied(found) => {
                let key = found.key().clone();
                let there = found.into_mut();
                change(there, value);
                (key, there)
            }
            Entry::Vacant(free) => {
                self.len += 1;
                (free.key().clone(), free.insert(value))
            }
        }
    }

    /// Removes a value if the condition holds, and copies nothing if it does not.
    pub fn remove_if(&mut self, key: &K, is_wanted: impl FnOnce(&V) -> bool) -> Option<V> {
        let shard = &mut self.shards[shard(key)];
        if !shard.get(key).is_some_and(is_wanted) {
            return None;
        }
        self.len -= 1;
        Arc::make_mut(shard).remove(key)
    }

    /// Takes a part of a value, in one search; a value of which nothing is left is removed.
    pub fn take_from<T>(
        &mut self,
        key: K,
        take: impl FnOnce(&mut V) -> Option<T>,
        is_empty: impl FnOnce(&V) -> bool,
    ) -> Option<T> {
        let Entry::Occupied(mut found) = Arc::make_mut(&mut self.shards[shard(&key)]).entry(key) else { return None };
        let taken = take(found.get_mut());
        if is_empty(found.get()) {
            found.remove();
            self.len -= 1;
        }
        taken
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        let removed = self.shard_mut(key).remove(key);
        self.len -= usize::from(removed.is_some());
        removed
    }

    pub fn freeze(&self) -> FrozenMap<K, V> {
        FrozenMap { shards: self.shards.to_vec(), len: self.len }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    fn shard_mut(&mut self, key: &K) -> &mut BTreeMap<K, V> {
        Arc::make_mut(&mut self.shards[shard(key)])
    }
}

impl<K: ShardKey, V> FrozenMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.shards[shard(key)].get(key)
    }

    /// Shard by shard: equal content is in equal order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    pub fn part(&self, shard: usize) -> impl Iterator<Item = (&K, &V)> {
        self.shards[shard].iter()
    }

    /// All entries from `start` on, in order of their keys: a lazy merge of the shards.
    pub fn ordered_from(&self, start: &K) -> impl Iterator<Item = (&K, &V)> + use<'_, K, V> {
        let mut ranges: Vec<_> = self.shards.iter().map(|shard| shard.range::<K, _>(start..).peekable()).collect();
        let mut heads = BinaryHeap::with_capacity(ranges.len());
        for (at, range) in ranges.iter_mut().enumerate() {
            heads.extend(range.peek().map(|(key, _)| Reverse((*key, at))));
        }
        std::iter::from_fn(move || {
            let Reverse((_, at)) = heads.pop()?;
            let next = ranges[at].next();
            heads.extend(ranges[at].peek().map(|(key, _)| Reverse((*key, at))));
            next
        })
    }
}

fn shard<K: ShardKey>(key: &K) -> usize {
    (key.shard_hash() >> 32) as usize % SHARDS
}

/// Hashes eight bytes at a time, folded by multiplication. Unlike the standard library's hasher it never changes: the
/// order of a snapshot follows from it.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR);
        (product as u64) ^ (product >> 64) as u64
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64 ^ FACTOR, |hash, word| fold(hash, u64::from_le_bytes(*word)));
    fold(fold(hash, rest_of(bytes, rest)), FACTOR)
}

/// The bytes after the last whole word, as a number. Taken from the last eight bytes where possible, because copying a
/// few bytes costs more than the rest of the hash.
fn rest_of(bytes: &[u8], rest: &[u8]) -> u64 {
    match (rest.len(), bytes.last_chunk()) {
        (0, _) => 0,
        (length, Some(last)) => u64::from_le_bytes(*last) >> (8 * (8 - length)),
        (_, None) => rest.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ShardKey for u64 {
        fn shard_hash(&self) -> u64 {
            stable_hash(&self.to_le_bytes())
        }
    }

    #[test]
    fn frozen_map_does_not_see_later_writes() {
        let mut map = CowMap::default();
        assert!((0..10_000_u64).all(|n| map.insert(n, n).is_none()));
        let frozen = map.freeze();
        (0..10_000_u64).for_each(|n| *map.get_mut(&n).unwrap() = 0);
        map.remove(&7);
        assert_eq!(frozen.len(), 10_000);
        assert!(frozen.iter().all(|(key, value)| key == value));
        assert_eq!(map.len(), 9_999);
    }

    #[test]
    fn upsert_changes_existing_values_and_remove_if_copies_nothing_in_vain() {
        let mut map = CowMap::default();
        let add = |map: &mut CowMap<u64, u64>, value| *map.upsert(1, value, |there, value| *there += value).1;
        assert_eq!((add(&mut map, 5), map.len()), (5, 1));
        let frozen = map.freeze();
        assert_eq!(map.remove_if(&1, |value| *value == 6), None);
        assert!(Arc::ptr_eq(&map.shards[shard(&1_u64)], &frozen.shards[shard(&1_u64)]), "nothing was copied");
        assert_eq!((add(&mut map, 1), map.len()), (6, 1));
        assert_eq!((map.remove_if(&1, |value| *value == 6), map.len()), (Some(6), 0));
        assert_eq!(map.remove_if(&1, |_| true), None);
        assert_eq!(frozen.get(&1), Some(&5));
    }

    #[test]
    fn ordered_from_merges_shards_in_key_order() {
        let mut map = CowMap::default();
        assert!((0..20_000_u64).rev().all(|n| map.insert(n, ()).is_none()));
        let keys: Vec<u64> = map.freeze().ordered_from(&1_234).map(|(key, ())| *key).collect();
        assert!(keys.into_iter().eq(1_234..20_000));
    }

    #[test]
    fn stable_hash_never_changes() {
        let text = b"a name of some length, and more";
        let hashes: Vec<u64> = (0..text.len()).map(|length| stable_hash(&text[..length])).collect();
        let all = hashes.iter().fold(0, |all: u64, hash| all.rotate_left(1) ^ hash);
        assert_eq!(all, 0xc597_88d2_d2fa_7718, "{all:#x}");
    }

    #[test]
    fn keys_spread_evenly_over_shards() {
        let mut map = CowMap::default();
        assert!((0..409_600_u64).all(|n| map.insert(n, ()).is_none()));
        let fullest = map.shards.iter().map(|shard| shard.len()).max().unwrap();
        assert!(fullest < 200, "a shard holds {fullest} of 409600 keys, 100 expected");
    }
}
