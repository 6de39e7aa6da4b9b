//! Lines that anybody can cause, told a few times a minute: the rest is counted and told with the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;

const WINDOW: Duration = Duration::from_secs(60);

/// How many lines of one kind are told in a minute.
#[derive(Debug)]
pub struct LogRateLimit {
    per_minute: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Duration,
    told: u32,
    held_back: u64,
}

impl LogRateLimit {
    pub const fn new(per_minute: u32) -> Self {
        Self { per_minute, window: Mutex::new(Window { since: Duration::ZERO, told: 0, held_back: 0 }) }
    }

    /// Whether a line may be told `now`, by a clock that only rises; then how many were held back before it.
    pub fn admit(&self, now: Duration) -> Option<u64> {
        let mut window = self.window.lock();
        if now.saturating_sub(window.since) >= WINDOW {
            (window.since, window.told) = (now, 0);
        }
        if window.told >= self.per_minute {
            window.held_back += 1;
            return None;
        }
        window.told += 1;
        Some(std::mem::take(&mut window.held_back))
    }
}

/// One line a minute for each of those who cause lines, such as nodes or addresses.
#[derive(Debug)]
pub struct KeyedLogRateLimit<K> {
    keys_max: usize,
    told: Mutex<Told<K>>,
}

#[derive(Debug)]
struct Told<K> {
    /// When its last line was told, and how many were held back since.
    by_key: BTreeMap<K, (Duration, u64)>,
    oldest_first: BTreeSet<(Duration, K)>,
}

impl<K: Ord + Copy> KeyedLogRateLimit<K> {
    /// Beyond `keys_max` who was told of longest ago is forgotten.
    pub const fn new(keys_max: usize) -> Self {
        Self { keys_max, told: Mutex::new(Told { by_key: BTreeMap::new(), oldest_first: BTreeSet::new() }) }
    }

    /// Whether a line about `key` may be told `now`; then how many about it were held back before.
    pub fn admit(&self, key: K, now: Duration) -> Option<u64> {
        let mut told = self.told.lock();
        let before = told.by_key.get(&key).copied();
        if let Some((since, held_back)) = before
            && now.saturating_sub(since) < WINDOW
        {
            told.by_key.insert(key, (since, held_back.saturating_add(1)));
            return None;
        }
        if let Some((since, _)) = before {
            told.oldest_first.remove(&(since, key));
        } else if told.by_key.len() >= self.keys_max
            && let Some((_, oldest)) = told.oldest_first.pop_first()
        {
            told.by_key.remove(&oldest);
        }
        told.by_key.insert(key, (now, 0));
        told.oldest_first.insert((now, key));
        Some(before.map_or(0, |(_, held_back)| held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_admitted_once_per_minute() {
        let pace = KeyedLogRateLimit::new(2);
        let at = |key, seconds| pace.admit(key, Duration::from_secs(seconds));
        assert_eq!([at('a', 0), at('a', 1), at('b', 2), at('a', 59)], [Some(0), None, Some(0), None]);
        assert_eq!([at('a', 60), at('a', 61)], [Some(2), None]);
        assert_eq!(at('c', 62), Some(0), "b gives way");
        assert_eq!([at('a', 63), at('b', 64)], [None, Some(0)]);
        let told = pace.told.lock();
        assert_eq!((told.by_key.len(), told.oldest_first.len()), (2, 2));
    }

    #[test]
    fn line_limit_admits_few_per_minute_and_counts_rest() {
        let pace = LogRateLimit::new(2);
        let at = |seconds| pace.admit(Duration::from_secs(seconds));
        assert_eq!([at(0), at(1), at(2), at(59)], [Some(0), Some(0), None, None]);
        assert_eq!([at(60), at(61), at(62)], [Some(2), Some(0), None]);
        assert_eq!(at(500), Some(1));
    }
}
