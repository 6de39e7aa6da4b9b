//! Idempotency keys: what each request was given, so that its retry is given the same, and never a second one.
//!
//! A record lives as long as what its request was given, and at least ten minutes from its last use. An attempt that
//! was given nothing leaves no record: asking again is a new attempt.

use super::caller::Caller;
use super::cow_map::{CowMap, FrozenMap, ShardKey, stable_hash};
use super::ids::{BodyDigest, HoldKey, Name, RequestId, SessionId, Token};
use super::time::Timestamp;
use super::usage::{Usage, Usages};
use std::collections::BTreeSet;

/// How long a key is remembered after its last use, at least.
pub const IDEMPOTENCY_KEY_KEPT_MS: u64 = 600_000;

/// How long a hold or waiter whose request was lost is kept for the retry.
pub const ORPHAN_MS: u64 = 10_000;

impl ShardKey for RequestId {
    fn shard_hash(&self) -> u64 {
        stable_hash(&self.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct RequestRecord {
    pub body: BodyDigest,
    /// Who asked first.
    pub caller: Caller,
    pub given: Given,
    /// How long it is kept after what it was given has ended.
    pub until: Timestamp,
}

/// What a request was given.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
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

/// The records by request, and those of ended requests by the time at which they are dropped.
#[derive(Default)]
pub struct IdempotencyKeys {
    records: CowMap<RequestId, RequestRecord>,
    ended: BTreeSet<(Timestamp, RequestId)>,
}

impl RequestRecord {
    fn usage(&self) -> Usage {
        let name = match &self.given {
            Given::Waiter { name, .. } | Given::Hold { name, .. } => Some(&**name),
            Given::Session(_) | Given::Ended => None,
        };
        Usage::of_request(name)
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.given == Given::Ended && self.until.is_past(now)
    }
}

impl IdempotencyKeys {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// How many were given something that has not ended.
    pub fn live_count(&self) -> usize {
        self.records.len() - self.ended.len()
    }

    pub fn get(&self, id: RequestId) -> Option<&RequestRecord> {
        self.records.get(&id)
    }

    pub fn freeze(&self) -> FrozenMap<RequestId, RequestRecord> {
        self.records.freeze()
    }

    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.ended.first().map(|(until, _)| *until)
    }

    /// Adds a record; whether it is new.
    pub fn insert(&mut self, id: RequestId, record: RequestRecord, usages: &mut Usages) -> bool {
        if record.given == Given::Ended {
            self.ended.insert((record.until, id));
        }
        usages.add(record.caller, record.usage());
        self.records.insert(id, record).is_none()
    }

    /// Records what a request was given, or that it was asked for again: its time starts again.
    pub fn keep(&mut self, id: RequestId, given: Given, until: Timestamp, usages: &mut Usages) {
        let Some(record) = self.records.get_mut(&id) else { return };
        if record.given == Given::Ended {
            self.ended.remove(&(record.until, id));
            self.ended.insert((until, id));
        }
        usages.remove(record.caller, record.usage());
        (record.given, record.until) = (given, until);
        usages.add(record.caller, record.usage());
    }

    /// What it was given has ended: from here on the record is kept only for its time.
    pub fn end(&mut self, id: RequestId, usages: &mut Usages) {
        if let Some(record) = self.records.get_mut(&id) {
            usages.remove(record.caller, record.usage());
            record.given = Given::Ended;
            usages.add(record.caller, record.usage());
            self.ended.insert((record.until, id));
        }
    }

    pub fn remove(&mut self, id: RequestId, usages: &mut Usages) {
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
