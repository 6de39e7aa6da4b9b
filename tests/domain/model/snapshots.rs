//! A snapshot and the rest of the log equal the whole log.

use super::agrees::LAG_DIVISOR;
use super::replays::apply_all;
use super::script::steps;
use super::{driver, for_all};
use crate::domain::kit::snapshot;
use latchd::domain::{Entry, Table};
use proptest::prelude::*;
use proptest::sample::Index;

#[test]
fn snapshot_plus_rest_of_log_equals_whole_log() {
    for_all((steps(), any::<Index>()), |(script, cut)| {
        let (log, whole) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        for at in [cut.index(log.len()), longest_queues(&log)] {
            let (before, after) = log.split_at(at);
            let (table, _) = apply_all(Table::default(), before);
            let bytes = snapshot(&table);
            let restored =
                Table::restore(&mut bytes.as_slice()).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert!(snapshot(&restored) == bytes, "the restored table has another snapshot");
            let (exact, lagging) = (restored.next_deadline(), table.next_deadline());
            prop_assert!(lagging <= exact && exact <= lagging.map(|end| end.after_ms(longest_lag_ms(&table))));
            prop_assert_eq!(restored.counts(), table.counts());
            let (table, told) = apply_all(table, after);
            let (restored, told_by_restored) = apply_all(restored, after);
            prop_assert_eq!(told, told_by_restored);
            prop_assert!(snapshot(&restored) == snapshot(&whole), "the restored table diverged");
            prop_assert!(snapshot(&table) == snapshot(&whole), "the same entries diverged");
        }
        Ok(())
    });
}

/// By which a touched session of a table may be watched too early; in a restored table none is.
fn longest_lag_ms(table: &Table) -> u64 {
    let idle_ms = table.freeze().sessions_after(None, 99).into_iter().map(|view| view.idle_timeout_ms).max();
    idle_ms.unwrap_or(0) / LAG_DIVISOR
}

/// How many entries there are when most waiters stand in queues: few random cuts find any.
fn longest_queues(log: &[Entry]) -> usize {
    let mut table = Table::default();
    let mut longest = (0, 0);
    for (index, entry) in log.iter().enumerate() {
        (table, _) = apply_all(table, std::slice::from_ref(entry));
        longest = longest.max((table.counts().waiters, index + 1));
    }
    longest.1
}

#[test]
fn snapshot_is_not_affected_by_later_entries() {
    for_all((steps(), any::<Index>()), |(script, cut)| {
        let (log, _) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        let (before, after) = log.split_at(cut.index(log.len()));
        let (table, _) = apply_all(Table::default(), before);
        let (expected, frozen) = (snapshot(&table), table.freeze());
        apply_all(table, after);
        let mut bytes = Vec::new();
        frozen.write_to(&mut bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(bytes == expected, "the snapshot contains later changes");
        Ok(())
    });
}
