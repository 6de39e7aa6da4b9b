//! Limits log lines that any caller can cause. Suppressed lines are counted, and the next line has the count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use parking_lot::Mutex;

const WINDOW: Duration = Duration::from_secs(60);

/// Limits lines of one kind to a number per minute.
#[derive(Debug)]
pub struct LogRateLimit {
    per_minute: u32,
    window: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Duration,
    logged: u32,
    suppressed: u64,
}

impl LogRateLimit {
    pub const fn new(per_minute: u32) -> Self {
        Self { per_minute, window: Mutex::new(Window { since: Duration::ZERO, logged: 0, suppressed: 0 }) }
    }

    /// Whether a line may be logged `now`, by a monotonic clock; if so, how many were suppressed before it.
    pub fn admit(&self, now: Duration) -> Option<u64> {
        let mut window = self.window.lock();
        if now.saturating_sub(window.since) >= WINDOW {
            (window.since, window.logged) = (now, 0);
        }
        if window.logged >= self.per_minute {
            window.suppressed += 1;
            return None;
        }
        window.logged += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

/// Limits lines to one a minute per key, such as a node or an address.
#[derive(Debug)]
pub struct KeyedLogRateLimit<K> {
    keys_max: usize,
    logged: Mutex<Logged<K>>,
}

#[derive(Debug)]
struct Logged<K> {
    /// When its last line was logged, and how many were suppressed since.
    by_key: BTreeMap<K, (Duration, u64)>,
    oldest_first: BTreeSet<(Duration, K)>,
}

impl<K: Ord + Copy> KeyedLogRateLimit<K> {
    /// Beyond `keys_max` keys, the one logged longest ago is forgotten.
    pub const fn new(keys_max: usize) -> Self {
        Self { keys_max, logged: Mutex::new(Logged { by_key: BTreeMap::new(), oldest_first: BTreeSet::new() }) }
    }

    /// Whether a line about `key` may be logged `now`; if so, how many about it were suppressed before.
    pub fn admit(&self, key: K, now: Duration) -> Option<u64> {
        let mut logged = self.logged.lock();
        let before = logged.by_key.get(&key).copied();
        if let Some((since, suppressed)) = before
            && now.saturating_sub(since) < WINDOW
        {
            logged.by_key.insert(key, (since, suppressed.saturating_add(1)));
            return None;
        }
        if let Some((since, _)) = before {
            logged.oldest_first.remove(&(since, key));
        } else if logged.by_key.len() >= self.keys_max
            && let Some((_, oldest)) = logged.oldest_first.pop_first()
        {
            logged.by_key.remove(&oldest);
        }
        logged.by_key.insert(key, (now, 0));
        logged.oldest_first.insert((now, key));
        Some(before.map_or(0, |(_, suppressed)| suppressed))
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
        let logged = pace.logged.lock();
        assert_eq!((logged.by_key.len(), logged.oldest_first.len()), (2, 2));
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
