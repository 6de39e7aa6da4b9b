//! A map of limited size: a new key evicts the one that came first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

#[derive(Debug)]
pub struct BoundedMap<K, V> {
    capacity: usize,
    map: HashMap<K, V>,
    oldest_first: VecDeque<K>,
}

impl<K: Clone + Eq + Hash, V> BoundedMap<K, V> {
    /// Holds `capacity` keys, and at least one.
    pub fn new(capacity: usize) -> Self {
        BoundedMap { capacity, map: HashMap::new(), oldest_first: VecDeque::new() }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub fn contains(&self, key: &K) -> bool {
        self.map.contains_key(key)
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key)
    }

    /// The value of a key; a new key gets this one.
    pub fn get_or_insert(&mut self, key: K, value: V) -> &mut V {
        if !self.map.contains_key(&key) {
            if self.map.len() >= self.capacity {
                self.remove_oldest();
            }
            self.oldest_first.push_back(key.clone());
        }
        self.map.entry(key).or_insert(value)
    }

    /// Puts this value in, as the one that comes last, whether the key is new or not.
    pub fn insert_newest(&mut self, key: K, value: V) {
        self.remove(&key);
        self.get_or_insert(key, value);
    }

    /// Goes through all keys: for small maps.
    pub fn remove(&mut self, key: &K) {
        if self.map.remove(key).is_some() {
            self.oldest_first.retain(|other| other != key);
        }
    }

    pub fn oldest(&self) -> Option<&V> {
        self.map.get(self.oldest_first.front()?)
    }

    pub fn remove_oldest(&mut self) {
        if let Some(oldest) = self.oldest_first.pop_front() {
            self.map.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_key_evicts_the_one_that_came_first() {
        let mut map = BoundedMap::new(2);
        for (key, value) in [('a', 1), ('b', 2), ('a', 3), ('c', 4)] {
            map.get_or_insert(key, value);
        }
        assert_eq!((map.get(&'a'), map.oldest(), map.get(&'c')), (None, Some(&2), Some(&4)));
        map.remove_oldest();
        assert_eq!((map.len(), map.oldest_first.len()), (1, 1));
    }

    #[test]
    fn key_that_is_put_in_again_is_the_newest_and_a_removed_one_leaves_room() {
        let mut map = BoundedMap::new(2);
        for (key, value) in [('a', 1), ('b', 2), ('a', 3), ('c', 4)] {
            map.insert_newest(key, value);
        }
        assert_eq!((map.get(&'a'), map.get(&'b'), map.get(&'c')), (Some(&3), None, Some(&4)));
        map.remove(&'c');
        map.insert_newest('d', 5);
        assert_eq!((map.get(&'a'), map.get(&'d'), map.len(), map.oldest_first.len()), (Some(&3), Some(&5), 2, 2));
    }
}
