//! Whether a request is within the limits: what needs no other state.

use super::command::Acquire;
use super::limits::{Limits, check_max};
use super::metadata::Metadata;
use super::refusal::{Field, Refusal};
use super::terms::{SHARED, Terms};
use std::collections::BTreeSet;

impl Limits {
    /// Called before a command is proposed and again when it is applied.
    pub fn check_acquire(&self, acquire: &Acquire) -> Result<(), Refusal> {
        // A table without modes refuses all terms, for another reason.
        self.check_acquire_with(acquire, acquire.terms.as_deref().filter(|_| self.have_modes()))
    }

    /// The same with these terms.
    pub(super) fn check_acquire_with(&self, acquire: &Acquire, terms: Option<&Terms>) -> Result<(), Refusal> {
        self.check_name(&acquire.name)?;
        self.check_size(acquire.size)?;
        if let Some(terms) = terms {
            self.check_terms(terms, acquire)?;
        }
        self.check_lease(acquire.lease_ms)?;
        if let Some(wait) = acquire.wait {
            check_max(Field::Wait, wait.timeout_ms(), self.wait_ms_max)?;
            let ends_by_itself = acquire.lease_ms.is_some() || acquire.session.is_some();
            if !ends_by_itself {
                return Err(Refusal::UnboundedHold);
            }
        }
        self.check_metadata(&acquire.metadata)
    }

    fn check_terms(&self, terms: &Terms, acquire: &Acquire) -> Result<(), Refusal> {
        check_weight(terms.weight, acquire.size)?;
        check_max(Field::LockDelay, terms.lock_delay_ms, self.lock_delay_ms_max)?;
        let first = terms.names.first();
        if first.is_some_and(|(name, size)| *name != acquire.name || *size != acquire.size) {
            return Err(Refusal::Broken("names of which the first is another"));
        }
        check_max(Field::Names, terms.names.len() as u64, self.names_max)?;
        check_max(Field::Value, terms.value.as_ref().map_or(0, |value| value.len() as u64), self.value_bytes_max)?;
        let mut seen = BTreeSet::new();
        terms.names.iter().try_for_each(|(name, size)| {
            self.check_name(name)?;
            self.check_size(*size)?;
            check_weight(terms.weight, *size)?;
            if seen.insert(name) { Ok(()) } else { Err(Refusal::NameTwice) }
        })
    }

    fn check_metadata(&self, metadata: &Metadata) -> Result<(), Refusal> {
        check_max(Field::MetadataEntries, metadata.len() as u64, self.metadata_entries_max)?;
        metadata.iter().try_for_each(|(key, value)| {
            check_max(Field::MetadataKey, key.len() as u64, self.metadata_key_bytes_max)?;
            check_max(Field::MetadataValue, value.len() as u64, self.metadata_value_bytes_max)
        })
    }
}

/// A hold takes its weight of each of its names. Shared ones do not compete for places.
fn check_weight(weight: u32, size: u32) -> Result<(), Refusal> {
    let fits = weight == 1 || (size != SHARED && (1..=size).contains(&weight));
    if fits { Ok(()) } else { Err(Refusal::WeightAboveSize { size }) }
}
