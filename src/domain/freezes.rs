//! Freezes: targets under which nothing new is granted until an end. Their number is limited.
//!
//! A target is one name, or all names that start with a text. Freezes may overlap: a name is frozen while any of them covers
//! it.

mod sweep;

pub use sweep::Sweep;

use super::ids::Name;
use super::prefixes::prefixes_of;
use super::time::Timestamp;
use crate::base::byte_enum;
use crate::mutants::planted;
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

byte_enum! {
    /// Which names a target stands for.
    pub enum Covers {
        /// The lock of this name.
        Name = 0,
        /// All locks whose names start with it.
        Prefix = 1,
    }
}

byte_enum! {
    /// What becomes of the holds under a freeze.
    pub enum FreezeHolds {
        /// They go on until their holders are done.
        Drain = 0,
        /// They are ended by force.
        Break = 1,
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Freeze {
    pub covers: Covers,
    pub holds: FreezeHolds,
    pub reason: ArcStr,
    /// Who froze, in words for people; empty if nobody is known.
    pub by: ArcStr,
    pub since: Timestamp,
    /// It holds up to this moment, and no longer.
    pub until: Timestamp,
}

/// What a client is told whose request met a freeze.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrozenBy {
    pub target: Name,
    pub covers: Covers,
    pub reason: ArcStr,
    /// Until it ends by itself.
    pub remaining_ms: u64,
    /// The request has waited in vain.
    pub waited: bool,
}

#[derive(Default)]
pub struct Freezes {
    /// Shared with the snapshot that is being written, if there is one.
    by_target: Arc<BTreeMap<Name, Freeze>>,
    /// The targets that are prefixes.
    prefixes: BTreeSet<Name>,
    by_end: BTreeSet<(Timestamp, Name)>,
    /// How many end the holds under them.
    breaking: usize,
    bytes: u64,
    pub sweep: Option<Sweep>,
}

/// A consistent view, not affected by later changes.
#[derive(Clone, Default)]
pub struct FreezesView {
    by_target: Arc<BTreeMap<Name, Freeze>>,
    pub(super) sweep: Option<Sweep>,
}

impl FreezesView {
    /// How many there are, with those that are over and not removed yet.
    pub(super) fn len(&self) -> usize {
        self.by_target.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Name, &Freeze)> {
        self.by_target.iter()
    }

    /// The freezes that have not ended at `now`, by their targets, from the first after `after`.
    pub fn after<'a>(&'a self, after: Option<&Name>, now: Timestamp) -> impl Iterator<Item = (&'a Name, &'a Freeze)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let listed = self.by_target.range::<Name, _>((start, Bound::Unbounded));
        listed.filter(move |(_, freeze)| !freeze.until.is_past(now))
    }

    /// Whether locks are still to be looked at, because a freeze has begun or ended.
    pub fn is_sweeping(&self) -> bool {
        self.sweep.is_some()
    }

    pub fn get(&self, target: &Name, now: Timestamp) -> Option<&Freeze> {
        self.by_target.get(target).filter(|freeze| !freeze.until.is_past(now))
    }
}

impl Covers {
    /// In JSON and in listings, of this target. The empty prefix is never meant by chance, so it has a word of its own.
    pub fn shown(self, target: &str) -> &'static str {
        match self {
            Covers::Name => "name",
            Covers::Prefix if target.is_empty() => "everything",
            Covers::Prefix => "prefix",
        }
    }
}

impl FreezeHolds {
    /// The name in JSON, and in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            FreezeHolds::Drain => "drain",
            FreezeHolds::Break => "break",
        }
    }
}

impl Freeze {
    /// Whether this freeze of a target concerns a name.
    pub fn concerns(&self, target: &Name, name: &str) -> bool {
        match self.covers {
            Covers::Name => *target == name,
            Covers::Prefix => name.starts_with(target.as_str()),
        }
    }

    /// Whether this freeze of a target concerns any name that starts with this.
    pub fn concerns_any_under(&self, target: &Name, prefix: &str) -> bool {
        target.starts_with(prefix) || (self.covers == Covers::Prefix && prefix.starts_with(target.as_str()))
    }

    pub fn frozen_by(&self, target: &Name, now: Timestamp) -> FrozenBy {
        let (target, covers, reason) = (target.clone(), self.covers, self.reason.clone());
        let remaining_ms = self.until.since(now).as_millis() as u64;
        FrozenBy { target, covers, reason, remaining_ms, waited: false }
    }

    /// The memory that it takes, by the estimate of `usage`.
    fn bytes(&self, target: &Name) -> u64 {
        FREEZE_BYTES + (target.len() + self.reason.len() + self.by.len()) as u64
    }
}

/// A freeze with its two indexes; see `usage`.
const FREEZE_BYTES: u64 = 400;

/// Reading.
impl Freezes {
    pub fn len(&self) -> usize {
        self.by_target.len()
    }

    pub fn get(&self, target: &Name) -> Option<&Freeze> {
        self.by_target.get(target)
    }

    pub fn view(&self) -> FreezesView {
        FreezesView { by_target: self.by_target.clone(), sweep: self.sweep.clone() }
    }

    /// Their memory, by the estimate of `usage`.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// A freeze that has ended.
    pub fn due(&self, now: Timestamp) -> Option<&Name> {
        self.by_end.first().filter(|(until, _)| until.is_past(now)).map(|(_, target)| target)
    }

    /// The freeze of this name that lasts longest, with its target.
    pub fn of<'a>(&'a self, name: &Name, now: Timestamp) -> Option<(&'a Name, &'a Freeze)> {
        self.covering(name).filter(|(_, freeze)| !freeze.until.is_past(now)).max_by_key(|(_, freeze)| freeze.until)
    }

    pub fn is_frozen(&self, name: &Name, now: Timestamp) -> bool {
        self.covering(name).any(|(_, freeze)| !freeze.until.is_past(now))
    }

    /// Whether any freeze ends the holds under it.
    pub fn break_any(&self) -> bool {
        self.breaking > 0
    }

    /// The freeze that ends the holds of this name.
    pub fn breaks<'a>(&'a self, name: &Name, now: Timestamp) -> Option<&'a Freeze> {
        if !self.break_any() {
            return None;
        }
        let ends_holds = |freeze: &Freeze| freeze.holds == FreezeHolds::Break && !freeze.until.is_past(now);
        self.covering(name).map(|(_, freeze)| freeze).find(|freeze| ends_holds(freeze))
    }

    /// The freezes whose targets cover this name, also those that are over: first that of the name itself, then prefixes from
    /// the longest to the shortest. Looks at few others, whatever their number.
    pub fn covering<'a, 'n>(&'a self, name: &'n Name) -> impl Iterator<Item = (&'a Name, &'a Freeze)> + use<'a, 'n> {
        let of_name = || self.by_target.get_key_value(name).filter(|(_, freeze)| freeze.covers == Covers::Name);
        let of_name = if self.by_target.is_empty() { None } else { of_name() };
        let of_prefixes = prefixes_of(&self.prefixes, name);
        of_name.into_iter().chain(of_prefixes.filter_map(|prefix| self.by_target.get_key_value(prefix)))
    }
}

/// Writing.
impl Freezes {
    /// Freezes a target; gives the freeze of it that there was.
    pub fn insert(&mut self, target: Name, freeze: Freeze) -> Option<Freeze> {
        let before = self.remove(&target);
        self.by_end.insert((freeze.until, target.clone()));
        if freeze.covers == Covers::Prefix {
            self.prefixes.insert(target.clone());
        }
        self.breaking += usize::from(freeze.holds == FreezeHolds::Break);
        self.bytes += freeze.bytes(&target);
        Arc::make_mut(&mut self.by_target).insert(target, freeze);
        before
    }

    pub fn remove(&mut self, target: &Name) -> Option<Freeze> {
        self.by_target.get(target)?;
        let freeze = Arc::make_mut(&mut self.by_target).remove(target)?;
        self.by_end.remove(&(freeze.until, target.clone()));
        self.prefixes.remove(target);
        self.breaking -= usize::from(freeze.holds == FreezeHolds::Break);
        self.bytes -= freeze.bytes(target);
        Some(freeze)
    }

    /// Has all locks looked at: holds may have to end, or waiters to be granted their locks.
    pub fn request_sweep(&mut self) {
        if !planted!("thawed-waiters-forgotten") {
            Sweep::request(&mut self.sweep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freezes(targets: &[(&str, Covers, u64)]) -> Freezes {
        let mut freezes = Freezes::default();
        for (target, covers, until) in targets {
            let (reason, by, since) = (ArcStr::new(), ArcStr::new(), Timestamp(0));
            let freeze =
                Freeze { covers: *covers, holds: FreezeHolds::Drain, reason, by, since, until: Timestamp(*until) };
            freezes.insert(Name::from(*target), freeze);
        }
        freezes
    }

    #[test]
    fn name_is_covered_by_itself_and_by_its_prefixes_alone() {
        use Covers::{Name as One, Prefix};
        let targets = [
            ("a/b", One, 9),
            ("a/", Prefix, 9),
            ("a/b/", Prefix, 9),
            ("a/bc", Prefix, 9),
            ("a/a", Prefix, 9),
            ("a/ä", Prefix, 9),
            ("b", Prefix, 9),
        ];
        let freezes = freezes(&targets);
        let covering = |name: &str| {
            let name = Name::from(name);
            freezes.covering(&name).map(|(target, _)| target.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(covering("a/b"), ["a/b", "a/"]);
        assert_eq!(covering("a/b/c"), ["a/b/", "a/"]);
        assert_eq!(covering("a/bcd"), ["a/bc", "a/"]);
        assert_eq!(covering("a/å"), ["a/"], "another character with the same first byte");
        assert_eq!(covering("a/ä"), ["a/ä", "a/"]);
        assert_eq!((covering("a"), covering("A/b"), covering("")), (vec![], vec![], vec![]));
        assert_eq!(covering("zzz"), Vec::<String>::new());
    }

    #[test]
    fn longest_freeze_is_the_one_that_is_told() {
        let freezes = freezes(&[("", Covers::Prefix, 5), ("a", Covers::Name, 3), ("a", Covers::Name, 4)]);
        let of = |at| freezes.of(&Name::from("a"), Timestamp(at)).map(|(target, _)| target.to_string());
        assert_eq!((of(4), of(5), of(6)), (Some(String::new()), Some(String::new()), None));
        assert_eq!(freezes.len(), 2);
    }
}
