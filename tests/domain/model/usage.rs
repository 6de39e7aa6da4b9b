//! The usage that the table keeps equals a fresh count of its content.

use super::driver::Played;
use super::script::steps;
use super::{driver, for_all, for_all_scripts};
use crate::domain::kit::snapshot;
use latchd::domain::{Body, Command, Entry, Outcome, Table};
use proptest::prelude::*;

fn recount(table: &Table) -> Result<(), String> {
    let restored = Table::restore(&mut snapshot(table).as_slice()).map_err(|error| error.to_string())?;
    let both = [&restored, table].map(|table| (table.bytes(), table.usages().clone()));
    if both[0] == both[1] { Ok(()) } else { Err(format!("counted again {:?}\n but was {:?}", both[0], both[1])) }
}

#[test]
fn usage_equals_that_of_a_restored_snapshot() {
    for_all_scripts(|| |played: &Played| recount(played.table));
}

/// The same log under leaders with these limits.
pub fn bounded(log: Vec<Entry>, bytes: u64, shares: [u64; 2]) -> Vec<Entry> {
    let bound = |mut entry: Entry| {
        if let Body::LeaderStart(start) = &mut entry.body {
            start.limits.table_bytes_max = bytes;
            [start.limits.credential_share, start.limits.address_share] = shares;
        }
        entry
    };
    log.into_iter().map(bound).collect()
}

#[test]
fn table_never_exceeds_its_byte_limit() {
    // An unconfirmed hold may become a waiter again, which uses more.
    const TAKEN_BACK: u64 = 13 * 1_200;
    for_all((steps(), 1_000..12_000_u64, any::<bool>()), |(script, bytes, shared)| {
        let (log, _) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        let mut table = Table::default();
        for entry in bounded(log, bytes, if shared { [400, 700] } else { [0, 0] }) {
            let before = table.bytes();
            let applied = table.apply(entry.clone());
            if table.records_callers() {
                prop_assert!(table.bytes() <= before.max(bytes) + TAKEN_BACK, "{} of {bytes}", table.bytes());
            }
            let (Body::Batch { commands, .. }, Ok(applied)) = (&entry.body, &applied) else { continue };
            for (submitted, (_, outcome)) in commands.iter().zip(&applied.outcomes) {
                let refusal = format!("{outcome:?}");
                let is_for_room = refusal.contains("TableFull") || refusal.contains("ShareFull");
                // These add something only sometimes.
                let may_add = matches!(submitted.command, Command::Upgrade(_) | Command::SetValue { .. });
                let adds = may_add || submitted.command.min_bytes() > 0;
                prop_assert!(adds || !is_for_room, "{submitted:?} is refused: {outcome:?}");
                prop_assert!(!matches!(outcome, Outcome::Refused(_)) || table.level() > 0);
            }
            recount(&table).map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
}
