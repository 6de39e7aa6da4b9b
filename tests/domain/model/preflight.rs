//! A preflight refusal equals the refusal of an entry, and that entry would change nothing else.

use super::script::steps;
use super::usage::bounded;
use super::{driver, for_all};
use latchd::domain::{Applied, Body, Command, Entry, HeldBy, Outcome, Refusal, Table};
use proptest::prelude::*;
use std::cell::Cell;

/// The only command of an entry.
fn only_command(entry: &Entry) -> Option<&Command> {
    match &entry.body {
        Body::Batch { commands, .. } => match commands.as_slice() {
            [only] => Some(&only.command),
            _ => None,
        },
        Body::LeaderStart(_) => None,
    }
}

/// The same entry without its command, but with the touch of the command's session.
fn emptied(entry: &Entry) -> Entry {
    let mut empty = entry.clone();
    if let Body::Batch { touches, commands, .. } = &mut empty.body {
        touches.extend(commands.drain(..).filter_map(|submitted| submitted.command.session()));
    }
    empty
}

fn copy(table: &Table) -> Table {
    let mut bytes = Vec::new();
    table.freeze().write_to(&mut bytes).expect("a vector can grow");
    Table::restore(&mut bytes.as_slice()).expect("what was written")
}

/// Everything visible of a table except the number of the last command. The next deadline is that of a restored copy,
/// because a touched session may be watched under an earlier deadline than its own.
fn seen(table: &Table) -> String {
    let frozen = table.freeze();
    let locks: Vec<_> = frozen.locks(&Default::default(), None, table.now()).collect();
    let (counts, token, due) = (table.counts(), table.last_token(), copy(table).next_deadline());
    format!("{locks:?} {:?} {counts:?} {token:?} {due:?}", frozen.sessions_after(None, 99))
}

fn refused_as_predicted(applied: &Applied, predicted: Refusal) -> Result<bool, TestCaseError> {
    match &applied.outcomes[0].1 {
        // It comes from an earlier incarnation, or for the second time.
        Outcome::Duplicate | Outcome::Refused(Refusal::UnknownIncarnation) => Ok(false),
        Outcome::Refused(Refusal::Held(by)) => {
            // The entry touches sessions first, so their holds end later than was known.
            let deadline = if let Refusal::Held(known) = &predicted { known.deadline } else { None };
            prop_assert!(deadline <= by.deadline, "{by:?} ends before {deadline:?}");
            prop_assert_eq!(Refusal::Held(Box::new(HeldBy { deadline, ..(**by).clone() })), predicted);
            Ok(true)
        }
        outcome => {
            prop_assert_eq!(outcome, &Outcome::Refused(predicted));
            Ok(true)
        }
    }
}

#[test]
fn preflight_refusal_equals_apply_and_changes_nothing() {
    let refusals = Cell::new(0_u32);
    for_all((steps(), prop::option::of(1_000..12_000_u64)), |(script, bytes)| {
        let (mut log, _) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        if let Some(bytes) = bytes {
            log = bounded(log, bytes, [400, 700]);
        }
        let mut table = Table::default();
        for entry in log {
            let now = entry.at.max(table.now());
            let predicted = only_command(&entry).and_then(|command| table.preflight(command, now));
            let mut without = predicted.is_some().then(|| copy(&table));
            let applied = table.apply(entry.clone());
            if let (Some(predicted), Some(without), Ok(applied)) = (predicted, &mut without, &applied) {
                let plain = without.apply(emptied(&entry)).expect("the epoch is the table's own");
                if refused_as_predicted(applied, predicted)? {
                    refusals.set(refusals.get() + 1);
                    prop_assert_eq!(&applied.events, &plain.events);
                    prop_assert_eq!(seen(&table), seen(without));
                }
            }
        }
        Ok(())
    });
    assert!(refusals.get() > 100, "only {} preflight refusals", refusals.get());
}
