//! The bytes of the records of a snapshot: nodes, sessions, idempotency keys, locks, and what these consist of.

use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::base::value::{Value, record, variants};
use crate::domain::codec::Format;
use crate::domain::command::Wait;
use crate::domain::freezes::{Freeze, Sweep};
use crate::domain::history::{PastHold, RarePast, Ring};
use crate::domain::idempotency::{IdempotencyRecord, IdempotencyResult};
use crate::domain::ids::{Caller, CommandId, Incarnation};
use crate::domain::locks::{
    Delay, Delivery, DeliveryState, Hold, Lock, Orphan, Owner, Queue, Rare, Tracked, Waiter, WaiterState,
};
use crate::domain::marks::Mark;
use crate::domain::nodes::NodeRecord;
use crate::domain::outcome::EndReason;
use crate::domain::sessions::{Session, TimedOut};
use crate::domain::time::{CompactTimestamp, Deadline, Timestamp};
use crate::mutants::planted;
use std::cmp::Reverse;

record!(NodeRecord { incarnation, last_sequence, up, store, level } in Format);

record! {
    Session {
        idle_timeout_ms, deadline, ended, timed_out, idempotency_id, caller, force; watched: Timestamp(0), holds: 0, waiters: 0
    } in Format
}

/// Only its presence is encoded.
impl Value<Format> for TimedOut {
    fn put(&self, _: &mut Vec<u8>, _: Format) {}

    fn get(_: &mut Decoder, _: Format) -> Result<Self, DecodeError> {
        Ok(TimedOut)
    }

    fn is_in(format: Format) -> bool {
        format >= Format::Modes
    }
}

record!(Freeze { covers, holds, reason, by, since, until } in Format);
record!(Sweep { after, again } in Format);
record!(Mark { token, caller, until } in Format);
record!(Rare { delay, is_resized; extra_weight: 0 } in Format from Format::Modes);

impl Value<Format> for Delay {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        self.until.put(out, format);
        self.token.put(out, format);
        if format >= Format::ModeBounds {
            self.counts_for.put(out, format);
        }
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        let (until, token) = (Value::get(input, format)?, Value::get(input, format)?);
        let counts_for = if format >= Format::ModeBounds { Value::get(input, format)? } else { None };
        Ok(Delay { until, token, counts_for })
    }
}

record! {
    PastHold {
        token, since, ended, clock_ms, owner, metadata, dialect, why, timed_out, size, weight, caller, rare
    } in Format
}

record!(RarePast { value, force } in Format from Format::History);

variants! {
    EndReason in Format as "end of a hold",
    0 = Released,
    1 = Expired,
    2 = Forced,
    3 = SessionEnded,
    4 = Cancelled,
    5 = Transferred,
}

impl Value<Format> for Ring {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_varint(self.len() as u64);
        self.iter().for_each(|past| past.put(out, format));
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        (0..input.count(13)?).map(|_| PastHold::get(input, format)).collect()
    }
}

record!(IdempotencyRecord { body, until, caller, result } in Format);

variants! {
    IdempotencyResult in Format as "result of an idempotency key",
    0 = Ended,
    1 = Session(session),
    2 = Waiter { name, key },
    3 = Hold { name, token },
}

record!(Hold { key, token, since, deadline, owner, metadata, dialect, caller, delivery } in Format);

variants! {
    Owner in Format as "owner",
    0 = Bearer,
    1 = Session(session),
    2 = Label(label),
}

impl Value<Format> for CompactTimestamp {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        Timestamp::from(*self).put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        Timestamp::get(input, format).map(CompactTimestamp::from)
    }
}

impl Value<Format> for Deadline {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        self.moment().put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        Ok(Option::<Timestamp>::get(input, format)?.map_or(Deadline::NEVER, Deadline::at))
    }
}

impl Value<Format> for Lock {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        self.size().put(out, format);
        self.size_to_remember().put(out, format);
        out.put_varint(self.holds().len() as u64);
        self.holds().iter().for_each(|hold| hold.put(out, format));
        let waiters = planted!("snapshot-without-queue", self.queue().len() => 0);
        out.put_varint(waiters as u64);
        self.queue().iter().take(waiters).for_each(|(place, waiter)| {
            place.put(out, format);
            waiter.put(out, format);
        });
        self.kept().put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        let (size, size_to_remember) = (input.varint_u32()?, input.varint_u32()?);
        let count = input.count(22)?;
        let mut holds = Vec::with_capacity(count);
        for _ in 0..count {
            holds.push(Value::get(input, format)?);
        }
        let mut queue = Queue::default();
        for _ in 0..input.count(30)? {
            queue.insert(Value::get(input, format)?, Value::get(input, format)?);
        }
        Ok(Lock::new(size, size_to_remember, holds, queue, Value::get(input, format)?))
    }
}

impl Value<Format> for Delivery {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        let tracked = match self {
            Delivery::Answered => None,
            Delivery::Tracked(tracked) => Some(tracked),
        };
        Box::put_optional(tracked, out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        Ok(Option::get(input, format)?.map_or(Delivery::Answered, Delivery::Tracked))
    }
}

impl Value<Format> for Tracked {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        let (unconfirmed, is_orphaned) = match self.state {
            DeliveryState::Confirmed => (None, false),
            DeliveryState::Unconfirmed(incarnation) => (Some(incarnation), false),
            DeliveryState::Orphaned => (None, true),
        };
        unconfirmed.put(out, format);
        self.idempotency_id.put(out, format);
        self.attempt.put(out, format);
        self.lease_ms.put(out, format);
        out.put_flag(is_orphaned);
        self.terms.put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        let unconfirmed = Option::<Incarnation>::get(input, format)?;
        let (idempotency_id, attempt) = (Value::get(input, format)?, Value::get(input, format)?);
        let lease_ms = Value::get(input, format)?;
        let state = match (unconfirmed, input.flag()?) {
            (None, false) => DeliveryState::Confirmed,
            (Some(incarnation), false) => DeliveryState::Unconfirmed(incarnation),
            (None, true) => DeliveryState::Orphaned,
            (Some(_), true) => return Err(DecodeError::Unmatched("an orphaned hold")),
        };
        Ok(Tracked { state, idempotency_id, attempt, lease_ms, terms: Value::get(input, format)? })
    }

    fn is_in(format: Format) -> bool {
        format >= Format::Clusters
    }
}

impl Value<Format> for Reverse<i32> {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        self.0.put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        Value::get(input, format).map(Reverse)
    }
}

impl Value<Format> for Waiter {
    /// An unconfirmed hold that went back to the queue has a command of the incarnation that died, with the number 0.
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        let timeout_ms = self.timeout_ms;
        let (attached, detached) = (Wait::Attached { timeout_ms }, Wait::Detached { timeout_ms });
        let (command, wait) = match self.state {
            WaiterState::Attached(command) | WaiterState::Orphaned(Orphan::Attached(command)) => (command, attached),
            WaiterState::Detached(command) | WaiterState::Orphaned(Orphan::Detached(command)) => (command, detached),
            WaiterState::Orphaned(Orphan::Unconfirmed(incarnation)) => {
                (CommandId { incarnation, sequence: 0 }, attached)
            }
        };
        command.put(out, format);
        self.key.put(out, format);
        self.since.put(out, format);
        wait.put(out, format);
        self.deadline.put(out, format);
        self.owner.put(out, format);
        self.size.put(out, format);
        self.remembers_size.put(out, format);
        self.lease_ms.put(out, format);
        self.metadata.put(out, format);
        self.dialect.put(out, format);
        self.idempotency_id.put(out, format);
        out.put_flag(self.is_orphaned());
        self.caller.put(out, format);
        self.terms.put(out, format);
        if format >= Format::Modes {
            self.upgrades.put(out, format);
        }
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        let command = CommandId::get(input, format)?;
        let (key, since) = (Value::get(input, format)?, Value::get(input, format)?);
        let wait = Wait::get(input, format)?;
        let mut waiter = Waiter {
            state: match wait {
                Wait::Attached { .. } | Wait::Guarded { .. } => WaiterState::Attached(command),
                Wait::Detached { .. } => WaiterState::Detached(command),
            },
            key,
            since,
            timeout_ms: wait.timeout_ms(),
            deadline: Value::get(input, format)?,
            owner: Value::get(input, format)?,
            size: Value::get(input, format)?,
            remembers_size: Value::get(input, format)?,
            lease_ms: Value::get(input, format)?,
            metadata: Value::get(input, format)?,
            dialect: Value::get(input, format)?,
            idempotency_id: Value::get(input, format)?,
            caller: Caller::NOBODY,
            terms: None,
            upgrades: None,
        };
        if format >= Format::Clusters && input.flag()? {
            waiter.state = WaiterState::Orphaned(match (wait, command.sequence) {
                (Wait::Attached { .. } | Wait::Guarded { .. }, 0) => Orphan::Unconfirmed(command.incarnation),
                (Wait::Attached { .. } | Wait::Guarded { .. }, _) => Orphan::Attached(command),
                (Wait::Detached { .. }, _) => Orphan::Detached(command),
            });
        }
        (waiter.caller, waiter.terms) = (Value::get(input, format)?, Value::get(input, format)?);
        if format >= Format::Modes {
            waiter.upgrades = Value::get(input, format)?;
        }
        Ok(waiter)
    }
}
