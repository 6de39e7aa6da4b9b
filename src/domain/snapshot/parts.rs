//! Holds and waiters of several names: a snapshot has an equal part of them in each of their locks.

use crate::base::codec::DecodeError;
use crate::domain::ids::{Name, Token};
use crate::domain::locks::{Hold, Lock, Place, Waiter};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What was read so far.
#[derive(Default)]
pub struct Parts {
    holds: BTreeMap<Token, Seen<Hold>>,
    waiters: BTreeMap<Place, Seen<Waiter>>,
}

/// One part, and the locks whose parts are still to come.
struct Seen<P> {
    part: P,
    missing: BTreeSet<Name>,
}

const UNMATCHED: DecodeError = DecodeError::Unmatched("a hold or waiter of several names");

impl Parts {
    pub fn note(&mut self, name: &Name, lock: &Lock) -> Result<(), DecodeError> {
        for hold in lock.holds().iter().filter(|hold| !hold.names().is_empty()) {
            note(&mut self.holds, hold.token, hold.clone(), hold.names(), name)?;
        }
        for (place, waiter) in lock.queue().iter().filter(|(_, waiter)| !waiter.names().is_empty()) {
            if !waiter.names().contains(&(name.clone(), waiter.size)) {
                return Err(UNMATCHED);
            }
            // Each part has the size of its own lock.
            note(&mut self.waiters, *place, Waiter { size: 0, ..waiter.clone() }, waiter.names(), name)?;
        }
        Ok(())
    }

    /// The parts of a hold or waiter have their terms in common, as they had before.
    pub fn share_terms(&self, lock: &mut Lock) {
        for hold in lock.holds_mut() {
            let terms = self.holds.get(&hold.token).and_then(|seen| seen.part.shared_terms());
            terms.into_iter().for_each(|terms| hold.set_terms(terms));
        }
        for (place, waiter) in lock.waiters_mut() {
            let terms = self.waiters.get(place).and_then(|seen| seen.part.terms.clone());
            terms.into_iter().for_each(|terms| waiter.terms = Some(terms));
        }
    }

    /// After all locks.
    pub fn check(&self) -> Result<(), DecodeError> {
        let mut missing = self.holds.values().map(|seen| &seen.missing);
        let mut missing_of_waiters = self.waiters.values().map(|seen| &seen.missing);
        let is_whole = missing.all(BTreeSet::is_empty) && missing_of_waiters.all(BTreeSet::is_empty);
        if is_whole { Ok(()) } else { Err(UNMATCHED) }
    }
}

fn note<K: Ord, P: PartialEq>(
    seen: &mut BTreeMap<K, Seen<P>>,
    key: K,
    part: P,
    names: &[(Name, u32)],
    name: &Name,
) -> Result<(), DecodeError> {
    let seen = match seen.entry(key) {
        Entry::Occupied(seen) if seen.get().part != part => return Err(UNMATCHED),
        Entry::Occupied(seen) => seen.into_mut(),
        Entry::Vacant(new) => {
            let missing: BTreeSet<Name> = names.iter().map(|(name, _)| name.clone()).collect();
            if missing.len() != names.len() {
                return Err(UNMATCHED);
            }
            new.insert(Seen { part, missing })
        }
    };
    if seen.missing.remove(name) { Ok(()) } else { Err(UNMATCHED) }
}
