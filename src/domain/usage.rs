//! How much the table and each caller use, counted alike on every node.
//!
//! The bytes are an estimate: for each thing a figure that includes its part of trees, indexes and allocations, and
//! the lengths of its texts. The change that a command makes is known without looking at anything else.

mod quotas;

use super::ids::{Caller, Name};
use super::limits::Limits;
use super::metadata::Metadata;
use super::quotas::Quotas;
use super::refusal::{Pool, Refusal, ShareOf};
use super::terms::Terms;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A lock, counted with each of its holds and waiters: nearly all have one hold.
const LOCK_BYTES: u64 = 160;
const HOLD_BYTES: u64 = 400;
/// With the tree of a queue in which no other waiter is.
const WAITER_BYTES: u64 = 1_600;
const SESSION_BYTES: u64 = 200;
const IDEMPOTENCY_KEY_BYTES: u64 = 240;
/// Terms and the bookkeeping of a hold that has them; names and values are counted by their lengths.
const TERMS_BYTES: u64 = 200;
const MARK_BYTES: u64 = 200;
/// With its place in the order of their ends.
const DELAY_BYTES: u64 = 120;
/// A text with its own allocation.
const TEXT_BYTES: u64 = 32;
/// The tree of a hold's metadata, and each of its entries.
const METADATA_BYTES: u64 = 400;
const METADATA_ENTRY_BYTES: u64 = 96;

/// How much is used of each pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Holds, waiters, and locks whose last hold delays the next.
    pub holds: u64,
    /// Those of them that wait.
    pub waiters: u64,
    pub sessions: u64,
    pub idempotency_keys: u64,
    pub marks: u64,
    pub bytes: u64,
}

/// The usage of all callers together, and of each caller that uses anything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usages {
    pub all: Usage,
    by_credential: BTreeMap<u64, Usage>,
    /// Within each credential, and of callers without one.
    by_address: BTreeMap<Caller, Usage>,
    quotas: Arc<Quotas>,
    /// Holds and waiters under each prefix that has a quota.
    by_prefix: BTreeMap<Name, Usage>,
}

impl Usage {
    const NOTHING: Usage = Usage { holds: 0, waiters: 0, sessions: 0, idempotency_keys: 0, marks: 0, bytes: 0 };
    pub const SESSION: Usage = Usage { sessions: 1, bytes: SESSION_BYTES, ..Usage::NOTHING };

    pub fn of_hold(name: &str, label: Option<&str>, metadata: &Metadata) -> Usage {
        Usage { holds: 1, bytes: HOLD_BYTES + of_lock(name, label, metadata), ..Usage::NOTHING }
    }

    pub fn of_waiter(name: &str, label: Option<&str>, metadata: &Metadata) -> Usage {
        Usage { holds: 1, waiters: 1, bytes: WAITER_BYTES + of_lock(name, label, metadata), ..Usage::NOTHING }
    }

    /// With what a hold or waiter was asked to be besides a plain one.
    pub fn with_terms(self, terms: Option<&Terms>) -> Usage {
        let bytes = terms.map_or(0, |terms| TERMS_BYTES + terms.text_bytes());
        Usage { bytes: self.bytes.saturating_add(bytes), ..self }
    }

    /// A lock that nobody is granted for a while counts as a hold of whoever had it.
    pub fn of_delay(name: &str) -> Usage {
        Usage { holds: 1, bytes: DELAY_BYTES + of_lock(name, None, &Metadata::default()), ..Usage::NOTHING }
    }

    /// A resource with its high-water mark.
    pub fn of_mark(resource: &str) -> Usage {
        Usage { marks: 1, bytes: MARK_BYTES + resource.len() as u64, ..Usage::NOTHING }
    }

    /// An idempotency key, with the name of the lock that the request was given.
    pub fn of_idempotency_key(name: Option<&str>) -> Usage {
        Usage { idempotency_keys: 1, bytes: IDEMPOTENCY_KEY_BYTES + name.map_or(0, of_text), ..Usage::NOTHING }
    }

    pub fn of_new_session(has_idempotency_key: bool) -> Usage {
        if has_idempotency_key { Usage::SESSION.and(Usage::of_idempotency_key(None)) } else { Usage::SESSION }
    }

    /// The growth of a hold or waiter whose metadata is replaced.
    pub fn of_growth(before: &Metadata, after: &Metadata) -> Usage {
        Usage { bytes: of_metadata(after).saturating_sub(of_metadata(before)), ..Usage::NOTHING }
    }

    pub fn is_nothing(self) -> bool {
        self == Usage::NOTHING
    }

    pub fn and(self, more: Usage) -> Usage {
        self.with(more, u64::saturating_add)
    }

    pub fn without(self, less: Usage) -> Usage {
        self.with(less, u64::saturating_sub)
    }

    fn with(self, other: Usage, each: impl Fn(u64, u64) -> u64) -> Usage {
        Usage {
            holds: each(self.holds, other.holds),
            waiters: each(self.waiters, other.waiters),
            sessions: each(self.sessions, other.sessions),
            idempotency_keys: each(self.idempotency_keys, other.idempotency_keys),
            marks: each(self.marks, other.marks),
            bytes: each(self.bytes, other.bytes),
        }
    }

    pub fn of(self, pool: Pool) -> u64 {
        match pool {
            Pool::Holds => self.holds,
            Pool::Sessions => self.sessions,
            Pool::IdempotencyKeys => self.idempotency_keys,
            Pool::Marks => self.marks,
            Pool::Bytes => self.bytes,
        }
    }
}

impl Usages {
    pub fn add(&mut self, caller: Caller, more: Usage) {
        self.change(caller, |usage| usage.and(more));
    }

    pub fn remove(&mut self, caller: Caller, less: Usage) {
        self.change(caller, |usage| usage.without(less));
    }

    fn change(&mut self, caller: Caller, change: impl Fn(Usage) -> Usage) {
        self.all = change(self.all);
        if caller.credential != 0 {
            changed(&mut self.by_credential, caller.credential, &change);
        }
        if caller.address != 0 {
            changed(&mut self.by_address, caller, &change);
        }
    }

    /// What a caller uses: its credential, and its address within that.
    pub fn of(&self, caller: Caller) -> Vec<(ShareOf, Usage)> {
        let credential = (caller.credential != 0).then(|| self.by_credential.get(&caller.credential));
        let address = (caller.address != 0).then(|| self.by_address.get(&caller));
        let known = [(ShareOf::Credential, credential), (ShareOf::Address, address)];
        known.into_iter().filter_map(|(whose, usage)| Some((whose, usage?.copied().unwrap_or_default()))).collect()
    }

    /// Whether so much more is within the caller's shares. Whether the pools have room is checked elsewhere.
    pub fn check_shares(&self, caller: Caller, more: Usage, limits: &Limits) -> Result<(), Refusal> {
        let whose = [
            (ShareOf::Credential, caller.credential != 0, self.by_credential.get(&caller.credential)),
            (ShareOf::Address, caller.address != 0, self.by_address.get(&caller)),
        ];
        for (whose, _, has) in whose.into_iter().filter(|(_, is_known, _)| *is_known) {
            for pool in Pool::ALL.into_iter().filter(|pool| more.of(*pool) > 0) {
                let has = has.map_or(0, |usage| usage.of(pool));
                match limits.share(pool, whose, caller) {
                    Some(limit) if has.saturating_add(more.of(pool)) > limit => {
                        return Err(Refusal::ShareFull { pool, whose, limit });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Callers that use nothing are forgotten.
fn changed<K: Ord + Clone>(usages: &mut BTreeMap<K, Usage>, whose: K, change: &impl Fn(Usage) -> Usage) {
    let usage = usages.entry(whose.clone()).or_default();
    *usage = change(*usage);
    if usage.is_nothing() {
        usages.remove(&whose);
    }
}

fn of_lock(name: &str, label: Option<&str>, metadata: &Metadata) -> u64 {
    LOCK_BYTES + of_text(name) + label.map_or(0, of_text) + of_metadata(metadata)
}

pub(super) fn of_text(text: &str) -> u64 {
    TEXT_BYTES + text.len() as u64
}

pub(super) fn of_metadata(metadata: &Metadata) -> u64 {
    if metadata.is_empty() {
        return 0;
    }
    let entry = |(key, value): (&str, &str)| METADATA_ENTRY_BYTES + (key.len() + value.len()) as u64;
    METADATA_BYTES + metadata.iter().map(entry).sum::<u64>()
}
