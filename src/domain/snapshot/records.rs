//! The records of a snapshot: nodes, sessions, remembered sizes, requests and locks as bytes.

use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::domain::codec::Format;
use crate::domain::codec::values::{
    put_caller, put_metadata, put_optional, put_optional_id, put_wait, take_caller, take_dialect, take_metadata,
    take_name, take_optional, take_optional_id, take_wait,
};
use crate::domain::command::Wait;
use crate::domain::idempotency::{RequestRecord, RequestResult};
use crate::domain::ids::{
    BodyDigest, Caller, CommandId, HoldKey, Incarnation, Name, NodeId, RequestId, SessionId, StoreId, Token, WaiterId,
};
use crate::domain::locks::{
    Delivery, DeliveryState, Hold, Lock, Orphan, Owner, Place, Queue, Tracked, Waiter, WaiterState,
};
use crate::domain::nodes::NodeRecord;
use crate::domain::sessions::Session;
use crate::domain::time::{Deadline, Timestamp};
use crate::mutants::planted;
use std::cmp::Reverse;

pub fn put_node(out: &mut Vec<u8>, node: NodeId, record: &NodeRecord) {
    out.put_varint(node.0);
    out.put_varint(record.incarnation.0);
    out.put_varint(record.last_sequence);
    out.put_flag(record.up);
    out.put_bytes(&record.store.0);
    out.put_varint(record.level.into());
}

pub fn take_node(input: &mut Decoder) -> Result<(NodeId, NodeRecord), DecodeError> {
    let node = NodeId(input.varint()?);
    let record = NodeRecord {
        incarnation: Incarnation(input.varint()?),
        last_sequence: input.varint()?,
        up: input.flag()?,
        store: StoreId(input.array()?),
        level: input.varint_u32()?,
    };
    Ok((node, record))
}

pub fn put_session(out: &mut Vec<u8>, id: SessionId, session: &Session, format: Format) {
    out.put_bytes(&id.0);
    out.put_varint(session.idle_timeout_ms);
    out.put_varint(session.deadline.0);
    out.put_flag(session.ended);
    put_optional_id(out, session.request.map(|request| request.0));
    put_caller(out, session.caller, format);
}

pub fn take_session(input: &mut Decoder, format: Format) -> Result<(SessionId, Session), DecodeError> {
    let id = SessionId(input.array()?);
    let (idle_timeout_ms, deadline, ended) = (input.varint()?, Timestamp(input.varint()?), input.flag()?);
    let (request, caller) = (take_request_id(input, format)?, take_caller(input, format)?);
    Ok((id, Session { idle_timeout_ms, deadline, ended, request, caller, holds: 0, waiters: 0 }))
}

pub fn put_remembered_size(out: &mut Vec<u8>, name: &Name, (size, until): (u32, Timestamp)) {
    out.put_text(name);
    out.put_varint(size.into());
    out.put_varint(until.0);
}

pub fn take_remembered_size(input: &mut Decoder) -> Result<(Name, u32, Timestamp), DecodeError> {
    Ok((take_name(input)?, input.varint_u32()?, Timestamp(input.varint()?)))
}

pub fn put_request(out: &mut Vec<u8>, id: RequestId, record: &RequestRecord, format: Format) {
    out.put_bytes(&id.0);
    out.put_bytes(&record.body.0);
    out.put_varint(record.until.0);
    put_caller(out, record.caller, format);
    match &record.result {
        RequestResult::Ended => out.put_u8(0),
        RequestResult::Session(session) => {
            out.put_u8(1);
            out.put_bytes(&session.0);
        }
        RequestResult::Waiter { name, key } => {
            out.put_u8(2);
            out.put_text(name);
            out.put_bytes(&key.0);
        }
        RequestResult::Hold { name, token } => {
            out.put_u8(3);
            out.put_text(name);
            out.put_varint(token.0);
        }
    }
}

pub fn take_request(input: &mut Decoder, format: Format) -> Result<(RequestId, RequestRecord), DecodeError> {
    let (id, body) = (RequestId(input.array()?), BodyDigest(input.array()?));
    let (until, caller) = (Timestamp(input.varint()?), take_caller(input, format)?);
    let result = match input.u8()? {
        0 => RequestResult::Ended,
        1 => RequestResult::Session(SessionId(input.array()?)),
        2 => RequestResult::Waiter { name: take_name(input)?, key: HoldKey(input.array()?) },
        3 => RequestResult::Hold { name: take_name(input)?, token: Token(input.varint()?) },
        value => return Err(DecodeError::Unknown { what: "result of a request", value: value.into() }),
    };
    Ok((id, RequestRecord { body, caller, result, until }))
}

pub fn put_lock(out: &mut Vec<u8>, name: &Name, lock: &Lock, format: Format) {
    out.put_text(name);
    out.put_varint(lock.size().into());
    out.put_varint(lock.size_to_remember().into());
    out.put_varint(lock.holds().len() as u64);
    lock.holds().iter().for_each(|hold| put_hold(out, hold, format));
    let waiters = planted!("snapshot-without-queue", lock.queue().len() => 0);
    out.put_varint(waiters as u64);
    lock.queue().iter().take(waiters).for_each(|(place, waiter)| put_waiter(out, *place, waiter, format));
}

pub fn take_lock(input: &mut Decoder, format: Format) -> Result<(Name, Lock), DecodeError> {
    let (name, size, size_to_remember) = (take_name(input)?, input.varint_u32()?, input.varint_u32()?);
    let count = input.count(22)?;
    let mut holds = Vec::with_capacity(count);
    for _ in 0..count {
        holds.push(take_hold(input, format)?);
    }
    let mut queue = Queue::default();
    for _ in 0..input.count(30)? {
        let (place, waiter) = take_waiter(input, format)?;
        queue.insert(place, waiter);
    }
    Ok((name, Lock::new(size, size_to_remember, holds, queue)))
}

fn put_hold(out: &mut Vec<u8>, hold: &Hold, format: Format) {
    out.put_bytes(&hold.key.0);
    out.put_varint(hold.token.0);
    out.put_varint(hold.since.0);
    put_optional(out, hold.deadline.moment().map(|end| end.0));
    put_owner(out, &hold.owner);
    put_metadata(out, &hold.metadata);
    out.put_u8(hold.dialect as u8);
    put_caller(out, hold.caller, format);
    out.put_flag(hold.tracked().is_some());
    hold.tracked().into_iter().for_each(|tracked| put_tracked(out, tracked));
}

fn take_hold(input: &mut Decoder, format: Format) -> Result<Hold, DecodeError> {
    Ok(Hold {
        key: HoldKey(input.array()?),
        token: Token(input.varint()?),
        since: Timestamp(input.varint()?),
        deadline: take_optional(input)?.map_or(Deadline::NEVER, |end| Deadline::at(Timestamp(end))),
        owner: take_owner(input)?,
        metadata: take_metadata(input)?,
        dialect: take_dialect(input)?,
        caller: take_caller(input, format)?,
        delivery: match format >= Format::Clusters && input.flag()? {
            true => Delivery::Tracked(Box::new(take_tracked(input)?)),
            false => Delivery::Answered,
        },
    })
}

fn put_tracked(out: &mut Vec<u8>, tracked: &Tracked) {
    let (unconfirmed, is_orphaned) = match tracked.state {
        DeliveryState::Confirmed => (None, false),
        DeliveryState::Unconfirmed(incarnation) => (Some(incarnation.0), false),
        DeliveryState::Orphaned => (None, true),
    };
    put_optional(out, unconfirmed);
    put_optional_id(out, tracked.request.map(|request| request.0));
    put_optional_id(out, tracked.attempt.map(|attempt| attempt.0));
    put_optional(out, tracked.lease_ms);
    out.put_flag(is_orphaned);
}

fn take_tracked(input: &mut Decoder) -> Result<Tracked, DecodeError> {
    let unconfirmed = take_optional(input)?.map(Incarnation);
    let request = take_optional_id(input)?.map(RequestId);
    let attempt = take_optional_id(input)?.map(HoldKey);
    let lease_ms = take_optional(input)?;
    let state = match (unconfirmed, input.flag()?) {
        (None, false) => DeliveryState::Confirmed,
        (Some(incarnation), false) => DeliveryState::Unconfirmed(incarnation),
        (None, true) => DeliveryState::Orphaned,
        (Some(_), true) => return Err(DecodeError::Unmatched("an orphaned hold")),
    };
    Ok(Tracked { state, request, attempt, lease_ms })
}

/// An unconfirmed hold that went back to the queue has a command of the incarnation that died, with the number 0.
fn put_waiter(out: &mut Vec<u8>, place: Place, waiter: &Waiter, format: Format) {
    let (command, is_detached) = match waiter.state {
        WaiterState::Attached(command) | WaiterState::Orphaned(Orphan::Attached(command)) => (command, false),
        WaiterState::Detached(command) | WaiterState::Orphaned(Orphan::Detached(command)) => (command, true),
        WaiterState::Orphaned(Orphan::Unconfirmed(incarnation)) => (CommandId { incarnation, sequence: 0 }, false),
    };
    let timeout_ms = waiter.timeout_ms;
    out.put_zigzag(place.0.0);
    out.put_varint(place.1.0);
    out.put_varint(command.incarnation.0);
    out.put_varint(command.sequence);
    out.put_bytes(&waiter.key.0);
    out.put_varint(waiter.since.0);
    put_wait(out, Some(if is_detached { Wait::Detached { timeout_ms } } else { Wait::Attached { timeout_ms } }));
    out.put_varint(waiter.deadline.0);
    put_owner(out, &waiter.owner);
    out.put_varint(waiter.size.into());
    out.put_flag(waiter.remembers_size);
    put_optional(out, waiter.lease_ms);
    put_metadata(out, &waiter.metadata);
    out.put_u8(waiter.dialect as u8);
    put_optional_id(out, waiter.request.map(|request| request.0));
    out.put_flag(waiter.is_orphaned());
    put_caller(out, waiter.caller, format);
}

fn take_waiter(input: &mut Decoder, format: Format) -> Result<(Place, Waiter), DecodeError> {
    let place = (Reverse(input.zigzag()?), WaiterId(input.varint()?));
    let command = CommandId { incarnation: Incarnation(input.varint()?), sequence: input.varint()? };
    let (key, since) = (HoldKey(input.array()?), Timestamp(input.varint()?));
    let wait = take_wait(input)?.ok_or(DecodeError::Unknown { what: "wait", value: 0 })?;
    let mut waiter = Waiter {
        state: match wait {
            Wait::Attached { .. } => WaiterState::Attached(command),
            Wait::Detached { .. } => WaiterState::Detached(command),
        },
        key,
        since,
        timeout_ms: wait.timeout_ms(),
        deadline: Timestamp(input.varint()?),
        owner: take_owner(input)?,
        size: input.varint_u32()?,
        remembers_size: input.flag()?,
        lease_ms: take_optional(input)?,
        metadata: take_metadata(input)?,
        dialect: take_dialect(input)?,
        request: take_request_id(input, format)?,
        caller: Caller::NOBODY,
    };
    if format >= Format::Clusters && input.flag()? {
        waiter.state = WaiterState::Orphaned(match (wait, command.sequence) {
            (Wait::Attached { .. }, 0) => Orphan::Unconfirmed(command.incarnation),
            (Wait::Attached { .. }, _) => Orphan::Attached(command),
            (Wait::Detached { .. }, _) => Orphan::Detached(command),
        });
    }
    waiter.caller = take_caller(input, format)?;
    Ok((place, waiter))
}

fn take_request_id(input: &mut Decoder, format: Format) -> Result<Option<RequestId>, DecodeError> {
    Ok(if format >= Format::Clusters { take_optional_id(input)?.map(RequestId) } else { None })
}

fn put_owner(out: &mut Vec<u8>, owner: &Owner) {
    match owner {
        Owner::Bearer => out.put_u8(0),
        Owner::Session(session) => {
            out.put_u8(1);
            out.put_bytes(&session.0);
        }
        Owner::Label(label) => {
            out.put_u8(2);
            out.put_text(label);
        }
    }
}

fn take_owner(input: &mut Decoder) -> Result<Owner, DecodeError> {
    Ok(match input.u8()? {
        0 => Owner::Bearer,
        1 => Owner::Session(SessionId(input.array()?)),
        2 => Owner::Label(take_name(input)?),
        value => return Err(DecodeError::Unknown { what: "owner", value: value.into() }),
    })
}
