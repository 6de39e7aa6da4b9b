//! When API keys end: shown as metrics, and warned of once a day in the week before.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::access::Identity;
use crate::base::clock;
use crate::http::ending_keys::WARN_BEFORE;
use crate::telemetry::Metrics;
use crate::telemetry::gauges::{KeyLabels, RoleLabels};

const DAY: u64 = 86_400;
/// So many keys are named in the log a day; of the others it has the number.
const NAMED_MAX: usize = 20;

/// What was seen and told of last.
#[derive(Default)]
pub struct KeyEnds {
    /// The days that were left of each key, by its name.
    told: BTreeMap<String, u64>,
    /// Seconds since 1970.
    looked_at: u64,
    next: Option<u64>,
}

impl KeyEnds {
    /// Shows and tells of the ends of these keys. True where the clock has passed an end since the last look, or was set back.
    pub fn look(&mut self, keys: &[Identity], metrics: &Metrics) -> bool {
        let now = clock::unix_time().as_secs();
        let ends = || keys.iter().filter_map(|key| Some((key, key.ending()?.expires()?)));
        for line in self.due(ends(), now) {
            tracing::warn!("{line}");
        }
        let coming = || ends().filter(|(_, end)| *end > now);
        metrics.key_expiry.set(coming().map(|(key, end)| (RoleLabels { role: key.role.as_str() }, end)));
        let expired = ends().filter(|(_, end)| *end <= now).count();
        let counts = [("expired", expired), ("valid", keys.len() - expired)];
        metrics.keys.set(counts.into_iter().map(|(state, count)| (KeyLabels { state }, count as u64)));
        let has_passed = now < self.looked_at || ends().any(|(_, end)| self.looked_at < end && end <= now);
        (self.looked_at, self.next) = (now, coming().map(|(_, end)| end).min());
        has_passed
    }

    /// How long until the next key ends.
    pub fn next(&self) -> Option<Duration> {
        let next = Duration::from_secs(self.next?);
        // Not earlier: a look before the end would only be repeated.
        Some(next.saturating_sub(clock::unix_time()) + Duration::from_millis(1))
    }

    fn due<'a>(&mut self, ends: impl Iterator<Item = (&'a Identity, u64)>, now: u64) -> Vec<String> {
        let (mut still, mut lines, mut unnamed) = (BTreeMap::new(), Vec::new(), 0_usize);
        for (key, end) in ends.filter(|(_, end)| *end < now + WARN_BEFORE.as_secs()) {
            let days = end.saturating_sub(now) / DAY;
            // Of an expired key there is one line.
            let state = if end <= now { u64::MAX } else { days };
            if self.told.get(&*key.name) != Some(&state) {
                match lines.len() < NAMED_MAX {
                    true => lines.push(warning(&key.name, end, now, days)),
                    false => unnamed += 1,
                }
            }
            still.insert(key.name.to_string(), state);
        }
        if unnamed > 0 {
            let keys = if unnamed == 1 { "key has expired or expires" } else { "keys have expired or expire" };
            lines.push(format!("{unnamed} more {keys} soon: `latchd keys list` shows all of them"));
        }
        self.told = still;
        lines
    }
}

fn warning(name: &str, end: u64, now: u64, days: u64) -> String {
    let ends = match end <= now {
        true => "has expired".to_owned(),
        false => format!("expires in {days} {}", if days == 1 { "day" } else { "days" }),
    };
    let date = clock::rfc3339(end);
    format!("the key {name:?} {ends} ({date}): `latchd keys new` makes another, then take this one away")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Ending, Role};

    const END: u64 = 1_900_000_000;

    fn keys(count: usize) -> Vec<Identity> {
        let (_sender, changes) = tokio::sync::watch::channel(());
        let ending = || Some(Ending::new(Some(END), changes.clone()));
        (0..count).map(|n| Identity::until(&format!("n{n}"), Role::Client, &[], ending())).collect()
    }

    fn due(ends: &mut KeyEnds, keys: &[Identity], now: u64) -> Vec<String> {
        ends.due(keys.iter().map(|key| (key, END)), now)
    }

    #[test]
    fn key_is_warned_of_daily_in_its_last_week_and_once_after_it() {
        let (mut ends, keys) = (KeyEnds::default(), keys(1));
        assert!(due(&mut ends, &keys, END - 7 * DAY).is_empty());
        assert!(due(&mut ends, &keys, END - 7 * DAY + 1)[0].contains("the key \"n0\" expires in 6 days (2030-03-17T"));
        assert!(due(&mut ends, &keys, END - 6 * DAY).is_empty(), "the same day");
        assert!(due(&mut ends, &keys, END - DAY)[0].contains("expires in 1 day ("));
        assert_eq!(due(&mut ends, &keys, END - 1).len(), 1, "its last day");
        assert!(due(&mut ends, &keys, END)[0].contains("has expired"));
        assert!(due(&mut ends, &keys, END + 9 * DAY).is_empty());
    }

    #[test]
    fn many_ending_keys_are_counted_instead_of_named() {
        let lines = due(&mut KeyEnds::default(), &keys(100), END - DAY);
        assert_eq!(lines.len(), NAMED_MAX + 1);
        assert!(lines[NAMED_MAX].starts_with("80 more keys"), "{}", lines[NAMED_MAX]);
    }

    #[test]
    fn passed_end_and_clock_set_back_are_noticed() {
        let (mut ends, keys, metrics) = (KeyEnds::default(), keys(2), Metrics::default());
        let mut look = |wall: u64| {
            clock::set_wall_clock(Box::new(move || Duration::from_secs(wall)));
            (ends.look(&keys, &metrics), ends.next())
        };
        assert_eq!(look(END - 2), (false, Some(Duration::from_millis(2001))));
        let text = metrics.encode(crate::telemetry::metrics::registry());
        assert!(text.contains("latchd_key_expiry_timestamp_seconds{role=\"client\"} 1900000000"), "{text}");
        assert!(text.contains("latchd_keys{state=\"valid\"} 2"), "{text}");
        assert_eq!(look(END), (true, None));
        assert!(metrics.encode(crate::telemetry::metrics::registry()).contains("latchd_keys{state=\"expired\"} 2"));
        assert_eq!(look(END + 1), (false, None));
        assert!(look(END - 5).0, "set back");
    }
}
