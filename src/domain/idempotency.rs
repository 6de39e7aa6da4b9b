//! Idempotency keys: what came of each request, so that its retry is given the same and never a second one.
//!
//! A record lives as long as what its request made, and at least ten minutes from its last use. Attempts that came
//! to nothing leave none: asking again is a new attempt.

use super::caller::Caller;
use super::cow::{ShardKey, stable_hash};
use super::ids::{BodyDigest, HoldKey, IdempotencyKey, Name, RequestId, SessionId, Token};
use super::outcome::Refusal;
use super::table::Table;
use super::time::Timestamp;
use super::usage::Usage;
use crate::mutants;

/// How long a key is kept from its last use at least.
pub const IDEMPOTENCY_KEY_KEPT_MS: u64 = 600_000;

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
    pub made: Made,
    /// Until when it is kept after what it made has ended.
    pub until: Timestamp,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    Session(SessionId),
    /// A waiter, by the key of its latest attempt.
    Waiter {
        name: Name,
        key: HoldKey,
    },
    Hold {
        name: Name,
        token: Token,
    },
    /// Its session or hold has ended.
    Ended,
}

impl Table {
    /// What came of this request before; `None` if it is new.
    pub(super) fn recall(&mut self, key: IdempotencyKey) -> Option<Result<Made, Refusal>> {
        let record = self.requests.get(&key.id).filter(|_| !mutants::on("retries-are-new"))?;
        if record.made == Made::Ended && record.until.is_past(self.now) {
            self.drop_request(key.id);
            return None;
        }
        if record.body != key.body {
            return Some(Err(Refusal::RequestReused));
        }
        let made = record.made.clone();
        self.keep_request(key.id, made.clone());
        Some(if made == Made::Ended { Err(Refusal::RequestEnded) } else { Ok(made) })
    }

    /// Whether one more key can be kept.
    pub(super) fn check_requests(&self, request: Option<IdempotencyKey>) -> Result<(), Refusal> {
        let limit = self.limits.requests_max;
        let is_full = request.is_some() && self.requests.len() as u64 >= limit;
        if is_full { Err(Refusal::RequestsFull { limit }) } else { Ok(()) }
    }

    /// Notes what came of a request that left no record so far.
    pub(super) fn note_request(&mut self, request: Option<IdempotencyKey>, caller: Caller, made: Made) {
        if let Some(IdempotencyKey { id, body }) = request {
            let until = self.now.after_ms(IDEMPOTENCY_KEY_KEPT_MS);
            self.drop_request(id);
            let record = RequestRecord { body, caller, made, until };
            self.index.usages.add(caller, Usage::of_request(&record));
            self.requests.insert(id, record);
        }
    }

    /// Notes what has become of it, or that it was asked for again: it is kept anew from now.
    pub(super) fn keep_request(&mut self, id: RequestId, made: Made) {
        let until = self.now.after_ms(IDEMPOTENCY_KEY_KEPT_MS);
        let Some(record) = self.requests.get_mut(&id) else { return };
        if record.made == Made::Ended {
            self.index.ended_requests.remove(&(record.until, id));
            self.index.ended_requests.insert((until, id));
        }
        let before = Usage::of_request(record);
        record.made = made;
        record.until = until;
        let (caller, after) = (record.caller, Usage::of_request(record));
        self.index.usages.remove(caller, before);
        self.index.usages.add(caller, after);
    }

    /// What it made has ended: from here on only time is left to it.
    pub(super) fn end_request(&mut self, id: RequestId) {
        if let Some(record) = self.requests.get_mut(&id) {
            self.index.usages.remove(record.caller, Usage::of_request(record));
            record.made = Made::Ended;
            self.index.usages.add(record.caller, Usage::of_request(record));
            self.index.ended_requests.insert((record.until, id));
        }
    }

    /// It came to nothing, or its time is over.
    pub(super) fn drop_request(&mut self, id: RequestId) {
        if let Some(record) = self.requests.remove(&id) {
            self.index.ended_requests.remove(&(record.until, id));
            self.index.usages.remove(record.caller, Usage::of_request(&record));
        }
    }

    /// Drops one whose time has passed; whether there was one.
    pub(super) fn drop_due_request(&mut self) -> bool {
        let due = self.index.ended_requests.first().filter(|(until, _)| until.is_past(self.now)).copied();
        if let Some((until, id)) = due {
            self.index.ended_requests.remove(&(until, id));
            self.drop_request(id);
        }
        due.is_some()
    }
}
