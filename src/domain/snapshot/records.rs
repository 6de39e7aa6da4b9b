//! One record of a snapshot each: what a session, a request, a node, a lock is in bytes.

use super::super::codec::command::{
    put_caller, put_lease, put_option, put_wait, take_caller, take_dialect, take_lease, take_option, take_wait,
};
use super::super::codec::{DecodeError, Put, Take};
use super::super::idempotency::{Made, RequestRecord};
use super::super::ids::{
    BodyDigest, CommandId, HoldKey, Incarnation, Name, NodeId, RequestId, SessionId, StoreId, Token, WaiterId,
};
use super::super::lock::{Claim, Hold, Lock, Owner, Place, Waiter};
use super::super::nodes::NodeRecord;
use super::super::session::Session;
use super::super::time::Timestamp;
use super::CLUSTERS;
use crate::mutants;
use std::cmp::Reverse;

pub fn put_node(out: &mut Vec<u8>, node: NodeId, record: &NodeRecord) {
    out.put_u64(node.0);
    out.put_u64(record.incarnation.0);
    out.put_u64(record.last_sequence);
    out.put_u8(u8::from(record.up));
    out.put_raw(&record.store.0);
    out.put_u64(record.level.into());
}

pub fn take_node(take: &mut Take) -> Result<(NodeId, NodeRecord), DecodeError> {
    let node = NodeId(take.u64()?);
    let record = NodeRecord {
        incarnation: Incarnation(take.u64()?),
        last_sequence: take.u64()?,
        up: take.flag()?,
        store: StoreId(take.id()?),
        level: take.u32()?,
    };
    Ok((node, record))
}

pub fn put_session(out: &mut Vec<u8>, id: SessionId, session: &Session, version: u8) {
    out.put_raw(&id.0);
    out.put_u64(session.idle_timeout_ms);
    out.put_u64(session.deadline.0);
    out.put_u8(u8::from(session.ended));
    put_option(out, session.request.map(|request| request.0));
    put_caller(out, session.caller, version);
}

pub fn take_session(take: &mut Take, version: u8) -> Result<(SessionId, Session), DecodeError> {
    let id = SessionId(take.id()?);
    let (idle_timeout_ms, deadline, ended) = (take.u64()?, Timestamp(take.u64()?), take.flag()?);
    let (request, caller) = (take_request_id(take, version)?, take_caller(take, version)?);
    Ok((id, Session { idle_timeout_ms, deadline, ended, request, caller, holds: 0, waiters: 0 }))
}

pub fn put_request(out: &mut Vec<u8>, id: RequestId, record: &RequestRecord, version: u8) {
    out.put_raw(&id.0);
    out.put_raw(&record.body.0);
    out.put_u64(record.until.0);
    put_caller(out, record.caller, version);
    match &record.made {
        Made::Ended => out.put_u8(0),
        Made::Session(session) => {
            out.put_u8(1);
            out.put_raw(&session.0);
        }
        Made::Waiter { name, key } => {
            out.put_u8(2);
            out.put_text(name);
            out.put_raw(&key.0);
        }
        Made::Hold { name, token } => {
            out.put_u8(3);
            out.put_text(name);
            out.put_u64(token.0);
        }
    }
}

pub fn take_request(take: &mut Take, version: u8) -> Result<(RequestId, RequestRecord), DecodeError> {
    let (id, body, until) = (RequestId(take.id()?), BodyDigest(take.id()?), Timestamp(take.u64()?));
    let caller = take_caller(take, version)?;
    let made = match take.u8()? {
        0 => Made::Ended,
        1 => Made::Session(SessionId(take.id()?)),
        2 => Made::Waiter { name: take.name()?, key: HoldKey(take.id()?) },
        3 => Made::Hold { name: take.name()?, token: Token(take.u64()?) },
        value => return Err(DecodeError::Unknown { what: "result of a request", value: value.into() }),
    };
    Ok((id, RequestRecord { body, caller, made, until }))
}

pub fn put_lock(out: &mut Vec<u8>, name: &Name, lock: &Lock, version: u8) {
    out.put_text(name);
    out.put_u64(lock.size.into());
    out.put_u64(lock.size_to_remember.into());
    out.put_u64(lock.holds.len() as u64);
    lock.holds.iter().for_each(|hold| put_hold(out, hold, version));
    let kept = if mutants::on("snapshot-without-queue") { 0 } else { lock.queue.len() };
    out.put_u64(kept as u64);
    lock.queue.iter().take(kept).for_each(|(place, waiter)| put_waiter(out, *place, waiter, version));
}

pub fn take_lock(take: &mut Take, version: u8) -> Result<(Name, Lock), DecodeError> {
    let name = take.name()?;
    let mut lock = Lock { size: take.u32()?, size_to_remember: take.u32()?, ..Lock::default() };
    let count = take.count(22)?;
    lock.holds = Vec::with_capacity(count);
    for _ in 0..count {
        lock.holds.push(take_hold(take, version)?);
    }
    for _ in 0..take.count(30)? {
        let (place, waiter) = take_waiter(take, version)?;
        lock.queue.insert(place, waiter);
    }
    Ok((name, lock))
}

fn put_hold(out: &mut Vec<u8>, hold: &Hold, version: u8) {
    out.put_raw(&hold.key.0);
    out.put_u64(hold.token.0);
    out.put_u64(hold.since.0);
    put_lease(out, hold.lease().map(|deadline| deadline.0));
    put_owner(out, &hold.owner);
    out.put_metadata(&hold.metadata);
    out.put_u8(hold.dialect as u8);
    put_caller(out, hold.caller, version);
    out.put_u8(u8::from(hold.claim.is_some()));
    hold.claim.iter().for_each(|claim| put_claim(out, claim));
}

fn take_hold(take: &mut Take, version: u8) -> Result<Hold, DecodeError> {
    Ok(Hold {
        key: HoldKey(take.id()?),
        token: Token(take.u64()?),
        since: Timestamp(take.u64()?),
        deadline: take_lease(take)?.map_or(Timestamp::NEVER, Timestamp),
        owner: take_owner(take)?,
        metadata: take.metadata()?,
        dialect: take_dialect(take)?,
        caller: take_caller(take, version)?,
        claim: match version >= CLUSTERS && take.flag()? {
            true => Some(Box::new(take_claim(take)?)),
            false => None,
        },
    })
}

fn put_claim(out: &mut Vec<u8>, claim: &Claim) {
    put_lease(out, claim.unconfirmed.map(|run| run.0));
    put_option(out, claim.request.map(|request| request.0));
    put_option(out, claim.attempt.map(|attempt| attempt.0));
    put_lease(out, claim.lease_ms);
    out.put_u8(u8::from(claim.orphaned));
}

fn take_claim(take: &mut Take) -> Result<Claim, DecodeError> {
    Ok(Claim {
        unconfirmed: take_lease(take)?.map(Incarnation),
        request: take_option(take)?.map(RequestId),
        attempt: take_option(take)?.map(HoldKey),
        lease_ms: take_lease(take)?,
        orphaned: take.flag()?,
    })
}

fn put_waiter(out: &mut Vec<u8>, place: Place, waiter: &Waiter, version: u8) {
    out.put_i32(place.0.0);
    out.put_u64(place.1.0);
    out.put_u64(waiter.command.incarnation.0);
    out.put_u64(waiter.command.sequence);
    out.put_raw(&waiter.key.0);
    out.put_u64(waiter.since.0);
    put_wait(out, Some(waiter.wait));
    out.put_u64(waiter.deadline.0);
    put_owner(out, &waiter.owner);
    out.put_u64(waiter.size.into());
    out.put_u8(u8::from(waiter.remembers_size));
    put_lease(out, waiter.lease_ms);
    out.put_metadata(&waiter.metadata);
    out.put_u8(waiter.dialect as u8);
    put_option(out, waiter.request.map(|request| request.0));
    out.put_u8(u8::from(waiter.orphaned));
    put_caller(out, waiter.caller, version);
}

fn take_waiter(take: &mut Take, version: u8) -> Result<(Place, Waiter), DecodeError> {
    let place = (Reverse(take.i32()?), WaiterId(take.u64()?));
    let command = CommandId { incarnation: Incarnation(take.u64()?), sequence: take.u64()? };
    let waiter = Waiter {
        command,
        key: HoldKey(take.id()?),
        since: Timestamp(take.u64()?),
        wait: take_wait(take)?.ok_or(DecodeError::Unknown { what: "wait", value: 0 })?,
        deadline: Timestamp(take.u64()?),
        owner: take_owner(take)?,
        size: take.u32()?,
        remembers_size: take.flag()?,
        lease_ms: take_lease(take)?,
        metadata: take.metadata()?,
        dialect: take_dialect(take)?,
        request: take_request_id(take, version)?,
        orphaned: version >= CLUSTERS && take.flag()?,
        caller: take_caller(take, version)?,
    };
    Ok((place, waiter))
}

fn take_request_id(take: &mut Take, version: u8) -> Result<Option<RequestId>, DecodeError> {
    Ok(if version >= CLUSTERS { take_option(take)?.map(RequestId) } else { None })
}

fn put_owner(out: &mut Vec<u8>, owner: &Owner) {
    match owner {
        Owner::Bearer => out.put_u8(0),
        Owner::Session(session) => {
            out.put_u8(1);
            out.put_raw(&session.0);
        }
        Owner::Label(label) => {
            out.put_u8(2);
            out.put_text(label);
        }
    }
}

fn take_owner(take: &mut Take) -> Result<Owner, DecodeError> {
    Ok(match take.u8()? {
        0 => Owner::Bearer,
        1 => Owner::Session(SessionId(take.id()?)),
        2 => Owner::Label(take.name()?),
        value => return Err(DecodeError::Unknown { what: "owner", value: value.into() }),
    })
}
