//! What the table takes, by a count that every node makes alike, and who takes how much of it.
//!
//! The bytes are an estimate: for each thing a figure that includes its part of trees, indexes and allocations, and
//! the lengths of its texts. What a command adds or takes away is known without looking at anything else.

use super::caller::Caller;
use super::command::Acquire;
use super::idempotency::{Made, RequestRecord};
use super::ids::{IdempotencyKey, Name};
use super::limits::{Limits, Pool, ShareOf};
use super::lock::{Hold, Waiter};
use super::metadata::Metadata;
use super::outcome::Refusal;
use std::collections::BTreeMap;

/// A lock is counted with each of its holds and waiters: nearly all have one hold.
const LOCK_BYTES: u64 = 160;
const HOLD_BYTES: u64 = 400;
/// With the tree of a queue in which nobody else stands.
const WAITER_BYTES: u64 = 1_600;
const SESSION_BYTES: u64 = 200;
const REQUEST_BYTES: u64 = 240;
/// A text that is allocated for itself.
const TEXT_BYTES: u64 = 32;
/// The tree of a hold's metadata, and each entry of it.
const METADATA_BYTES: u64 = 400;
const METADATA_ENTRY_BYTES: u64 = 96;

/// How much there is, of all that has a bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Holds and waiters.
    pub holds: u64,
    pub sessions: u64,
    pub requests: u64,
    pub bytes: u64,
}

/// Of all callers together, and of each that has anything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usages {
    pub all: Usage,
    by_credential: BTreeMap<u64, Usage>,
    /// Of what each credential has, or callers without one.
    by_address: BTreeMap<Caller, Usage>,
}

impl Usage {
    const NOTHING: Usage = Usage { holds: 0, sessions: 0, requests: 0, bytes: 0 };
    pub const SESSION: Usage = Usage { sessions: 1, bytes: SESSION_BYTES, ..Usage::NOTHING };

    pub fn of_hold(name: &Name, hold: &Hold) -> Usage {
        let label = hold.owner.label().map(|label| &**label);
        Usage { holds: 1, bytes: HOLD_BYTES + of_lock(name, label, &hold.metadata), ..Usage::NOTHING }
    }

    pub fn of_waiter(name: &Name, waiter: &Waiter) -> Usage {
        let label = waiter.owner.label().map(|label| &**label);
        Usage { holds: 1, bytes: WAITER_BYTES + of_lock(name, label, &waiter.metadata), ..Usage::NOTHING }
    }

    pub fn of_request(record: &RequestRecord) -> Usage {
        let name = match &record.made {
            Made::Waiter { name, .. } | Made::Hold { name, .. } => of_text(name),
            Made::Session(_) | Made::Ended => 0,
        };
        Usage { requests: 1, bytes: REQUEST_BYTES + name, ..Usage::NOTHING }
    }

    /// What an acquire adds if it is granted at once, or else has to wait.
    pub fn of_acquire(acquire: &Acquire, granted: bool) -> Usage {
        let own = if granted { HOLD_BYTES } else { WAITER_BYTES };
        let label = acquire.label.as_deref().filter(|_| acquire.session.is_none());
        let bytes = own + of_lock(&acquire.name, label, &acquire.metadata);
        Usage { holds: 1, bytes, ..Usage::NOTHING }.and(Usage::of_key(acquire.idempotency_key, of_text(&acquire.name)))
    }

    /// What keeping an idempotency key adds.
    pub fn of_key(request: Option<IdempotencyKey>, text_bytes: u64) -> Usage {
        match request {
            Some(_) => Usage { requests: 1, bytes: REQUEST_BYTES + text_bytes, ..Usage::NOTHING },
            None => Usage::NOTHING,
        }
    }

    /// What a hold grows by if it says this of itself from now on.
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
            sessions: each(self.sessions, other.sessions),
            requests: each(self.requests, other.requests),
            bytes: each(self.bytes, other.bytes),
        }
    }

    fn of(self, pool: Pool) -> u64 {
        match pool {
            Pool::Holds => self.holds,
            Pool::Sessions => self.sessions,
            Pool::Requests => self.requests,
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

    /// Whether a caller may have so much more, besides what pools have room for.
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

/// Who has nothing is forgotten.
fn changed<K: Ord>(usages: &mut BTreeMap<K, Usage>, whose: K, change: &impl Fn(Usage) -> Usage) {
    match usages.get_mut(&whose) {
        Some(usage) => {
            *usage = change(*usage);
            if *usage == Usage::NOTHING {
                usages.remove(&whose);
            }
        }
        None => {
            let usage = change(Usage::NOTHING);
            if usage != Usage::NOTHING {
                usages.insert(whose, usage);
            }
        }
    }
}

fn of_lock(name: &str, label: Option<&str>, metadata: &Metadata) -> u64 {
    LOCK_BYTES + of_text(name) + label.map_or(0, of_text) + of_metadata(metadata)
}

pub fn of_text(text: &str) -> u64 {
    TEXT_BYTES + text.len() as u64
}

fn of_metadata(metadata: &Metadata) -> u64 {
    if metadata.is_empty() {
        return 0;
    }
    let entry = |(key, value): (&str, &str)| METADATA_ENTRY_BYTES + (key.len() + value.len()) as u64;
    METADATA_BYTES + metadata.iter().map(entry).sum::<u64>()
}
