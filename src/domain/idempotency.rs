//! Idempotency keys: the result of each request, so that its retry gets the same one, and never a second.
//!
//! A record lives as long as its result, and at least ten minutes from its last use. An attempt without a result leaves no
//! record: asking again is a new attempt.

use super::cow_map::{CowMap, FrozenMap, ShardKey, stable_hash};
use super::ids::{BodyDigest, Caller, HoldKey, IdempotencyId, Name, SessionId, Token};
use super::time::Timestamp;
use super::usage::{Usage, Usages};
use std::collections::BTreeSet;

/// How long a key is remembered after its last use, at least.
pub const IDEMPOTENCY_KEY_KEPT_MS: u64 = 600_000;

/// How long a hold or waiter whose request was lost is kept for the retry.
pub const ORPHAN_MS: u64 = 10_000;

impl ShardKey for IdempotencyId {
    fn shard_hash(&self) -> u64 {
        stable_hash(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct IdempotencyRecord {
    pub body: BodyDigest,
    /// The caller of the first attempt.
    pub caller: Caller,
    pub result: IdempotencyResult,
    /// How long it is kept after its result has ended.
    pub until: Timestamp,
}

/// What a request was given.
#[derive(Clone, Debug, PartialEq)]
pub enum IdempotencyResult {
    Session(SessionId),
    /// A place in the queue, by the key of the latest attempt.
    Waiter {
        name: Name,
        key: HoldKey,
    },
    Hold {
        name: Name,
        token: Token,
    },
    /// A session or hold that has ended.
    Ended,
}

/// The records by idempotency id, and those with an ended result by the time at which they are dropped.
#[derive(Default)]
pub struct IdempotencyKeys {
    records: CowMap<IdempotencyId, IdempotencyRecord>,
    ended: BTreeSet<(Timestamp, IdempotencyId)>,
}

impl IdempotencyRecord {
    fn usage(&self) -> Usage {
        let name = match &self.result {
            IdempotencyResult::Waiter { name, .. } | IdempotencyResult::Hold { name, .. } => Some(&**name),
            IdempotencyResult::Session(_) | IdempotencyResult::Ended => None,
        };
        Usage::of_idempotency_key(name)
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.result == IdempotencyResult::Ended && self.until.is_past(now)
    }
}

impl IdempotencyKeys {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// How many have a result that has not ended.
    pub fn live_count(&self) -> usize {
        self.records.len() - self.ended.len()
    }

    pub fn get(&self, id: IdempotencyId) -> Option<&IdempotencyRecord> {
        self.records.get(&id)
    }

    pub fn freeze(&self) -> FrozenMap<IdempotencyId, IdempotencyRecord> {
        self.records.freeze()
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.ended.first().map(|(until, _)| *until)
    }

    /// Adds a record; whether it is new.
    pub fn insert(&mut self, id: IdempotencyId, record: IdempotencyRecord, usages: &mut Usages) -> bool {
        if record.result == IdempotencyResult::Ended {
            self.ended.insert((record.until, id));
        }
        usages.add(record.caller, record.usage());
        self.records.insert(id, record).is_none()
    }

    /// Records a result, or that the request was repeated: its time starts again.
    pub fn keep(&mut self, id: IdempotencyId, result: IdempotencyResult, until: Timestamp, usages: &mut Usages) {
        let Some(record) = self.records.get_mut(&id) else { return };
        if record.result == IdempotencyResult::Ended {
            self.ended.remove(&(record.until, id));
            self.ended.insert((until, id));
        }
        usages.remove(record.caller, record.usage());
        (record.result, record.until) = (result, until);
        usages.add(record.caller, record.usage());
    }

    /// The result has ended: from here on the record is kept only for its time.
    pub fn end(&mut self, id: IdempotencyId, usages: &mut Usages) {
        if let Some(record) = self.records.get_mut(&id) {
            usages.remove(record.caller, record.usage());
            record.result = IdempotencyResult::Ended;
            usages.add(record.caller, record.usage());
            self.ended.insert((record.until, id));
        }
    }

    pub fn remove(&mut self, id: IdempotencyId, usages: &mut Usages) {
        if let Some(record) = self.records.remove(&id) {
            self.ended.remove(&(record.until, id));
            usages.remove(record.caller, record.usage());
        }
    }

    /// Removes one record whose time has passed; whether there was one.
    pub fn remove_due(&mut self, now: Timestamp, usages: &mut Usages) -> bool {
        let due = self.ended.first().filter(|(until, _)| until.is_past(now)).copied();
        if let Some((until, id)) = due {
            self.ended.remove(&(until, id));
            self.remove(id, usages);
        }
        due.is_some()
    }
}
