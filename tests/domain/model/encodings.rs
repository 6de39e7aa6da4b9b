//! Entries decode to themselves.

use super::script::steps;
use super::{driver, for_all};
use latchd::domain::Entry;
use proptest::prelude::*;

#[test]
fn every_entry_decodes_to_itself() {
    for_all(steps(), |script| {
        let (log, _) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        for entry in log {
            prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
        Ok(())
    });
}

#[test]
fn truncated_or_extended_entry_is_refused() {
    for_all(steps(), |script| {
        let (log, _) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        let bytes = log.last().map(Entry::encode).unwrap_or_default();
        for length in 0..bytes.len() {
            prop_assert!(Entry::decode(&bytes[..length]).is_err(), "{length} of {} bytes pass", bytes.len());
        }
        prop_assert!(Entry::decode(&[bytes, vec![0]].concat()).is_err());
        Ok(())
    });
}
