//! Quotas: how many holds, sessions and waiters one credential may have, or all callers together under a prefix.

use super::ids::{Caller, Name};
use super::prefixes::{PrefixesOf, prefixes_of};
use crate::base::byte_enum;
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Whom a quota bounds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum QuotaOf {
    /// One credential; the name is for people.
    Credential { credential: u64, name: ArcStr },
    /// Each credential that has no quota of its own.
    EachCredential,
    /// All callers together, in locks whose names start with this.
    Prefix(Name),
}

byte_enum! {
    /// What a quota counts.
    pub enum Counted {
        /// Holds and waiters, as in `locks.holds_max`: a waiter is going to be a hold.
        Holds = 0,
        Sessions = 1,
        /// Waiters alone.
        Waiters = 2,
    }
}

/// How many of each; `None`: as many as the pools have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaLimits {
    pub holds_max: Option<u64>,
    pub sessions_max: Option<u64>,
    pub waiters_max: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quota {
    pub of: QuotaOf,
    pub limits: QuotaLimits,
}

/// A quota that has no room, for a refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuotaFull {
    pub of: QuotaOf,
    pub counted: Counted,
    pub limit: u64,
}

/// All quotas. Each leadership sets them, because apply reads no configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Quotas {
    all: BTreeMap<QuotaOf, QuotaLimits>,
    /// The quotas of single credentials, by their numbers.
    by_credential: BTreeMap<u64, QuotaOf>,
    prefixes: BTreeSet<Name>,
}

impl fmt::Display for QuotaOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuotaOf::Credential { name, .. } => write!(f, "credential {name}"),
            QuotaOf::EachCredential => f.write_str("each credential"),
            QuotaOf::Prefix(prefix) => write!(f, "prefix {prefix}"),
        }
    }
}

impl Counted {
    /// The key of its limit, in a quota of `quotas.limits`.
    pub const fn key(self) -> &'static str {
        match self {
            Counted::Holds => "holds_max",
            Counted::Sessions => "sessions_max",
            Counted::Waiters => "waiters_max",
        }
    }
}

impl QuotaLimits {
    pub fn max(&self, counted: Counted) -> Option<u64> {
        match counted {
            Counted::Holds => self.holds_max,
            Counted::Sessions => self.sessions_max,
            Counted::Waiters => self.waiters_max,
        }
    }
}

impl Quotas {
    /// Adds a quota, unless there is one of whom it bounds; whether there was none.
    pub fn insert(&mut self, quota: Quota) -> bool {
        let is_new = match &quota.of {
            QuotaOf::Credential { credential, .. } => !self.has_own(*credential),
            of @ (QuotaOf::EachCredential | QuotaOf::Prefix(_)) => !self.all.contains_key(of),
        };
        if is_new {
            match &quota.of {
                QuotaOf::Credential { credential, .. } => _ = self.by_credential.insert(*credential, quota.of.clone()),
                QuotaOf::EachCredential => {}
                QuotaOf::Prefix(prefix) => _ = self.prefixes.insert(prefix.clone()),
            }
            self.all.insert(quota.of, quota.limits);
        }
        is_new
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// In an order of their own.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaOf, &QuotaLimits)> {
        self.all.iter()
    }

    /// The prefixes that have one.
    pub fn prefixes(&self) -> &BTreeSet<Name> {
        &self.prefixes
    }

    pub fn prefixes_of<'a, 'n>(&'a self, name: &'n str) -> PrefixesOf<'a, 'n> {
        prefixes_of(&self.prefixes, name)
    }

    /// Whether this credential has a quota of its own.
    pub fn has_own(&self, credential: u64) -> bool {
        self.by_credential.contains_key(&credential)
    }

    /// The quota of this caller's credential.
    pub fn of_credential(&self, caller: Caller) -> Option<(&QuotaOf, &QuotaLimits)> {
        if caller.credential == 0 || self.is_empty() {
            return None;
        }
        let own = self.by_credential.get(&caller.credential).unwrap_or(&QuotaOf::EachCredential);
        self.all.get_key_value(own)
    }

    pub fn get(&self, of: &QuotaOf) -> Option<&QuotaLimits> {
        self.all.get(of)
    }
}
