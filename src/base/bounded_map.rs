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
}
