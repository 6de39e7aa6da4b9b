//! Commands, one tag byte each. Tags are never reused.

use super::{CALLERS, CLUSTERS, DecodeError, Put, Take};
use crate::domain::caller::Caller;
use crate::domain::command::{Acquire, Command, Proof, Wait};
use crate::domain::ids::{
    BodyDigest, Dialect, HoldKey, IdempotencyKey, Incarnation, NodeId, RequestId, SessionId, StoreId, Token,
};
use std::sync::Arc;

const OPEN_SESSION: u8 = 0;
const CLOSE_SESSION: u8 = 1;
const ACQUIRE: u8 = 2;
const RELEASE: u8 = 3;
const RENEW: u8 = 4;
const CANCEL: u8 = 5;
const FORCE_RELEASE: u8 = 6;
const CONFIRM_DELIVERY: u8 = 7;
const CANCEL_WAIT: u8 = 8;
const NODE_UP: u8 = 9;
const NODE_DOWN: u8 = 10;
const FORGET_NODE: u8 = 11;
const RAISE_LEVEL: u8 = 12;

impl Command {
    pub(super) fn put(&self, out: &mut Vec<u8>, version: u8) {
        match self {
            Command::OpenSession { session, idle_timeout_ms, idempotency_key, caller } => {
                out.put_u8(OPEN_SESSION);
                out.put_raw(&session.0);
                out.put_u64(*idle_timeout_ms);
                put_request(out, *idempotency_key);
                put_caller(out, *caller, version);
            }
            Command::CloseSession { session } => {
                out.put_u8(CLOSE_SESSION);
                out.put_raw(&session.0);
            }
            Command::Acquire(acquire) => {
                out.put_u8(ACQUIRE);
                acquire.put(out, version);
            }
            Command::Release { name, session, proof } => {
                out.put_u8(RELEASE);
                out.put_text(name);
                put_session(out, *session);
                proof.put(out);
            }
            Command::Renew { name, session, proof, lease_ms } => {
                out.put_u8(RENEW);
                out.put_text(name);
                put_session(out, *session);
                proof.put(out);
                out.put_u64(*lease_ms);
            }
            Command::Cancel { name, key } => put_named_key(out, CANCEL, name, *key),
            Command::ForceRelease { name, key } => put_named_key(out, FORCE_RELEASE, name, *key),
            Command::ConfirmDelivery { name, key } => put_named_key(out, CONFIRM_DELIVERY, name, *key),
            Command::CancelWait { name, label } => {
                out.put_u8(CANCEL_WAIT);
                out.put_text(name);
                out.put_text(label);
            }
            Command::NodeUp { node, incarnation, store, level } => {
                put_numbers(out, NODE_UP, &[node.0, incarnation.0]);
                out.put_raw(&store.0);
                out.put_u64(u64::from(*level));
            }
            Command::NodeDown { node, incarnation } => put_numbers(out, NODE_DOWN, &[node.0, incarnation.0]),
            Command::ForgetNode { node } => put_numbers(out, FORGET_NODE, &[node.0]),
            Command::RaiseLevel { level } => put_numbers(out, RAISE_LEVEL, &[u64::from(*level)]),
        }
    }
}

pub(super) fn take(take: &mut Take, version: u8) -> Result<Command, DecodeError> {
    Ok(match take.u8()? {
        OPEN_SESSION => Command::OpenSession {
            session: SessionId(take.id()?),
            idle_timeout_ms: take.u64()?,
            idempotency_key: take_request(take, version)?,
            caller: take_caller(take, version)?,
        },
        CLOSE_SESSION => Command::CloseSession { session: SessionId(take.id()?) },
        ACQUIRE => Command::Acquire(Box::new(Acquire::take(take, version)?)),
        RELEASE => Command::Release { name: take.name()?, session: take_session(take)?, proof: Proof::take(take)? },
        RENEW => Command::Renew {
            name: take.name()?,
            session: take_session(take)?,
            proof: if version >= CLUSTERS { Proof::take(take)? } else { Proof::Key(HoldKey(take.id()?)) },
            lease_ms: take.u64()?,
        },
        CANCEL => Command::Cancel { name: take.name()?, key: HoldKey(take.id()?) },
        FORCE_RELEASE => Command::ForceRelease { name: take.name()?, key: HoldKey(take.id()?) },
        CONFIRM_DELIVERY => Command::ConfirmDelivery { name: take.name()?, key: HoldKey(take.id()?) },
        CANCEL_WAIT => Command::CancelWait { name: take.name()?, label: take.name()? },
        NODE_UP => Command::NodeUp {
            node: NodeId(take.u64()?),
            incarnation: Incarnation(take.u64()?),
            store: StoreId(take.id()?),
            level: take.u32()?,
        },
        NODE_DOWN => Command::NodeDown { node: NodeId(take.u64()?), incarnation: Incarnation(take.u64()?) },
        FORGET_NODE => Command::ForgetNode { node: NodeId(take.u64()?) },
        RAISE_LEVEL => Command::RaiseLevel { level: take.u32()? },
        value => return Err(DecodeError::Unknown { what: "command", value: value.into() }),
    })
}

impl Acquire {
    fn put(&self, out: &mut Vec<u8>, version: u8) {
        out.put_text(&self.name);
        out.put_raw(&self.key.0);
        out.put_u8(self.dialect as u8);
        put_session(out, self.session);
        put_label(out, self.label.as_deref());
        out.put_u8(u8::from(self.reentrant));
        out.put_u64(self.size.into());
        out.put_u8(u8::from(self.remembers_size));
        put_lease(out, self.lease_ms);
        put_wait(out, self.wait);
        out.put_i32(self.priority);
        out.put_metadata(&self.metadata);
        put_request(out, self.idempotency_key);
        put_caller(out, self.caller, version);
    }

    fn take(take: &mut Take, version: u8) -> Result<Acquire, DecodeError> {
        Ok(Acquire {
            name: take.name()?,
            key: HoldKey(take.id()?),
            dialect: take_dialect(take)?,
            session: take_session(take)?,
            label: take_label(take)?,
            reentrant: take.flag()?,
            size: take.u32()?,
            remembers_size: take.flag()?,
            lease_ms: take_lease(take)?,
            wait: take_wait(take)?,
            priority: take.i32()?,
            metadata: take.metadata()?,
            idempotency_key: take_request(take, version)?,
            caller: take_caller(take, version)?,
        })
    }
}

impl Proof {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Proof::Key(key) => {
                out.put_u8(0);
                out.put_raw(&key.0);
            }
            Proof::TakenBy(dialect) => {
                out.put_u8(1);
                out.put_u8(*dialect as u8);
            }
            Proof::Label { label, token } => {
                out.put_u8(2);
                out.put_text(label);
                put_lease(out, token.map(|token| token.0));
            }
        }
    }

    fn take(take: &mut Take) -> Result<Proof, DecodeError> {
        Ok(match take.u8()? {
            0 => Proof::Key(HoldKey(take.id()?)),
            1 => Proof::TakenBy(take_dialect(take)?),
            2 => Proof::Label { label: take.name()?, token: take_lease(take)?.map(Token) },
            value => return Err(DecodeError::Unknown { what: "proof", value: value.into() }),
        })
    }
}

fn put_named_key(out: &mut Vec<u8>, tag: u8, name: &str, key: HoldKey) {
    out.put_u8(tag);
    out.put_text(name);
    out.put_raw(&key.0);
}

fn put_numbers(out: &mut Vec<u8>, tag: u8, numbers: &[u64]) {
    out.put_u8(tag);
    numbers.iter().for_each(|number| out.put_u64(*number));
}

fn put_session(out: &mut Vec<u8>, session: Option<SessionId>) {
    put_option(out, session.map(|session| session.0));
}

fn take_session(take: &mut Take) -> Result<Option<SessionId>, DecodeError> {
    Ok(take_option(take)?.map(SessionId))
}

fn put_request(out: &mut Vec<u8>, request: Option<IdempotencyKey>) {
    put_option(out, request.map(|request| request.id.0));
    request.iter().for_each(|request| out.put_raw(&request.body.0));
}

fn take_request(take: &mut Take, version: u8) -> Result<Option<IdempotencyKey>, DecodeError> {
    if version < CLUSTERS || !take.flag()? {
        return Ok(None);
    }
    Ok(Some(IdempotencyKey { id: RequestId(take.id()?), body: BodyDigest(take.id()?) }))
}

pub(in crate::domain) fn put_caller(out: &mut Vec<u8>, caller: Caller, version: u8) {
    if version >= CALLERS {
        caller.put(out);
    }
}

pub(in crate::domain) fn take_caller(take: &mut Take, version: u8) -> Result<Caller, DecodeError> {
    if version >= CALLERS { Caller::take(take) } else { Ok(Caller::NOBODY) }
}

/// An identity that may be missing.
pub(in crate::domain) fn put_option(out: &mut Vec<u8>, id: Option<[u8; 16]>) {
    out.put_u8(u8::from(id.is_some()));
    id.iter().for_each(|id| out.put_raw(id));
}

pub(in crate::domain) fn take_option(take: &mut Take) -> Result<Option<[u8; 16]>, DecodeError> {
    take.flag()?.then(|| take.id()).transpose()
}

fn put_label(out: &mut Vec<u8>, label: Option<&str>) {
    out.put_u8(u8::from(label.is_some()));
    label.iter().for_each(|label| out.put_text(label));
}

fn take_label(take: &mut Take) -> Result<Option<Arc<str>>, DecodeError> {
    take.flag()?.then(|| take.name()).transpose()
}

/// A lease in milliseconds (or any other optional number).
pub(in crate::domain) fn put_lease(out: &mut Vec<u8>, value: Option<u64>) {
    out.put_u8(u8::from(value.is_some()));
    value.iter().for_each(|value| out.put_u64(*value));
}

pub(in crate::domain) fn take_lease(take: &mut Take) -> Result<Option<u64>, DecodeError> {
    take.flag()?.then(|| take.u64()).transpose()
}

pub(in crate::domain) fn put_wait(out: &mut Vec<u8>, wait: Option<Wait>) {
    match wait {
        None => out.put_u8(0),
        Some(Wait::Attached { timeout_ms }) => {
            out.put_u8(1);
            out.put_u64(timeout_ms);
        }
        Some(Wait::Detached { timeout_ms }) => {
            out.put_u8(2);
            out.put_u64(timeout_ms);
        }
    }
}

pub(in crate::domain) fn take_wait(take: &mut Take) -> Result<Option<Wait>, DecodeError> {
    Ok(match take.u8()? {
        0 => None,
        1 => Some(Wait::Attached { timeout_ms: take.u64()? }),
        2 => Some(Wait::Detached { timeout_ms: take.u64()? }),
        value => return Err(DecodeError::Unknown { what: "wait", value: value.into() }),
    })
}

pub(in crate::domain) fn take_dialect(take: &mut Take) -> Result<Dialect, DecodeError> {
    let byte = take.u8()?;
    Dialect::from_u8(byte).ok_or(DecodeError::Unknown { what: "dialect", value: byte.into() })
}
