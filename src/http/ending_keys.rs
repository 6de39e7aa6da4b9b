//! Keys that are used shortly before their end, or after it: told in the log, a few lines a minute.

use crate::access::{Identity, Verdict};
use crate::base::{KeyedLogRateLimit, LogRateLimit, clock};
use std::time::Duration;

/// A key that ends within this time is told of.
pub const WARN_BEFORE: Duration = Duration::from_secs(7 * 86_400);
/// The limit of all keys together.
const LINES_PER_MINUTE: u32 = 20;
/// Keys whose lines are counted.
const KEYS_MAX: usize = 1024;

/// The keys of the whole service that were told of lately.
#[derive(Debug)]
pub struct EndingKeys {
    all: LogRateLimit,
    by_key: KeyedLogRateLimit<u64>,
}

impl Default for EndingKeys {
    fn default() -> EndingKeys {
        EndingKeys { all: LogRateLimit::new(LINES_PER_MINUTE), by_key: KeyedLogRateLimit::new(KEYS_MAX) }
    }
}

impl EndingKeys {
    /// Tells of a verdict if it is about such a key.
    pub(crate) fn note(&self, verdict: &Verdict) {
        let (Verdict::Granted(identity) | Verdict::Expired(identity)) = verdict else { return };
        if let Some(line) = self.line(identity, clock::process_age) {
            tracing::warn!(key = %identity.name, "{line}");
        }
    }

    /// `now` is asked for keys that end soon only, because every request of a key comes here.
    fn line(&self, identity: &Identity, now: impl FnOnce() -> Duration) -> Option<String> {
        let ending = identity.ending()?;
        let remaining = ending.remaining().filter(|remaining| *remaining < WARN_BEFORE)?;
        let now = now();
        self.by_key.admit(identity.credential, now)?;
        self.all.admit(now)?;
        let (name, date) = (&identity.name, clock::rfc3339(ending.expires()?));
        Some(match remaining.is_zero() {
            true => format!("the key {name:?} is presented still, and has expired ({date}): give its user a new one"),
            false => format!("the key {name:?} is in use, and expires soon ({date}): give its user a new one"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Ending, Role};
    use crate::base::clock::set_wall_clock;

    #[test]
    fn key_is_told_of_a_week_before_its_end_and_once_a_minute() {
        let end = 1_900_000_000;
        let keys = EndingKeys::default();
        let (_sender, changes) = tokio::sync::watch::channel(());
        let identity = Identity::until("ci", Role::Client, &[], Some(Ending::new(Some(end), changes)));
        let line = |wall: u64, age: u64| {
            set_wall_clock(Box::new(move || Duration::from_secs(wall)));
            keys.line(&identity, || Duration::from_secs(age))
        };
        assert_eq!(line(end - 7 * 86_400, 0), None);
        assert!(line(end - 7 * 86_400 + 1, 0).expect("a line").contains("\"ci\" is in use, and expires soon (2030-"));
        assert_eq!(line(end - 1, 59), None, "the same minute");
        assert!(line(end, 60).expect("a line").contains("has expired"));
    }

    #[test]
    fn clock_is_not_read_for_a_key_without_an_end_or_with_a_far_one() {
        let keys = EndingKeys::default();
        let (_sender, changes) = tokio::sync::watch::channel(());
        set_wall_clock(Box::new(|| Duration::from_secs(1_800_000_000)));
        let until = |end| Some(Ending::new(end, changes.clone()));
        for ending in [None, until(None), until(Some(1_900_000_000))] {
            let identity = Identity::until("ci", Role::Client, &[], ending);
            assert_eq!(keys.line(&identity, || panic!("the clock was read")), None);
        }
    }
}
