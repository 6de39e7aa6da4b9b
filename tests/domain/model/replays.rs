//! Equal entries give equal states, byte for byte, and equal outcomes.

use super::script::steps;
use super::{driver, for_all};
use crate::domain::kit::snapshot;
use latchd::domain::{Entry, Table};
use proptest::prelude::*;

#[test]
fn replay_gives_the_same_bytes_and_outcomes() {
    for_all(steps(), |script| {
        let mut told = Vec::new();
        let played = driver::play(&script, |played| {
            told.push(format!("{:?}", played.applied));
            Ok(())
        });
        let (log, table) = played.map_err(TestCaseError::fail)?;
        let (again, told_again) = apply_all(Table::default(), &log);
        prop_assert_eq!(told, told_again);
        prop_assert!(snapshot(&again) == snapshot(&table), "the snapshots differ");
        Ok(())
    });
}

/// Applies entries, and returns all outcomes and events.
pub fn apply_all(mut table: Table, log: &[Entry]) -> (Table, Vec<String>) {
    let told = log.iter().map(|entry| format!("{:?}", table.apply(entry.clone()))).collect();
    (table, told)
}
