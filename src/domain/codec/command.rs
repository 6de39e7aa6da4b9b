//! Commands: a tag byte, then the fields. Tags are never reused.

use super::Format;
use super::values::{
    put_caller, put_metadata, put_optional, put_optional_id, put_wait, take_caller, take_dialect, take_metadata,
    take_name, take_optional, take_optional_id, take_wait,
};
use crate::base::byte_enum;
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::domain::command::{Acquire, Command, Proof};
use crate::domain::ids::{
    BodyDigest, HoldKey, IdempotencyKey, Incarnation, Name, NodeId, RequestId, SessionId, StoreId, Token,
};

byte_enum! {
    /// The byte before each command.
    enum Tag {
        OpenSession = 0,
        CloseSession = 1,
        Acquire = 2,
        Release = 3,
        Renew = 4,
        Cancel = 5,
        ForceRelease = 6,
        ConfirmDelivery = 7,
        CancelWait = 8,
        NodeUp = 9,
        NodeDown = 10,
        ForgetNode = 11,
        RaiseLevel = 12,
    }
}

impl Command {
    pub(super) fn put(&self, out: &mut Vec<u8>, format: Format) {
        match self {
            Command::OpenSession { session, idle_timeout_ms, idempotency_key, caller } => {
                out.put_u8(Tag::OpenSession as u8);
                out.put_bytes(&session.0);
                out.put_varint(*idle_timeout_ms);
                put_request(out, *idempotency_key);
                put_caller(out, *caller, format);
            }
            Command::CloseSession { session } => {
                out.put_u8(Tag::CloseSession as u8);
                out.put_bytes(&session.0);
            }
            Command::Acquire(acquire) => {
                out.put_u8(Tag::Acquire as u8);
                acquire.put(out, format);
            }
            Command::Release { name, session, proof } => {
                out.put_u8(Tag::Release as u8);
                out.put_text(name);
                put_session(out, *session);
                proof.put(out);
            }
            Command::Renew { name, session, proof, lease_ms } => {
                out.put_u8(Tag::Renew as u8);
                out.put_text(name);
                put_session(out, *session);
                proof.put(out);
                out.put_varint(*lease_ms);
            }
            Command::Cancel { name, key } => put_named_key(out, Tag::Cancel, name, *key),
            Command::ForceRelease { name, key } => put_named_key(out, Tag::ForceRelease, name, *key),
            Command::ConfirmDelivery { name, key } => put_named_key(out, Tag::ConfirmDelivery, name, *key),
            Command::CancelWait { name, label } => {
                out.put_u8(Tag::CancelWait as u8);
                out.put_text(name);
                out.put_text(label);
            }
            Command::NodeUp { node, incarnation, store, level } => {
                put_numbers(out, Tag::NodeUp, &[node.0, incarnation.0]);
                out.put_bytes(&store.0);
                out.put_varint(u64::from(*level));
            }
            Command::NodeDown { node, incarnation } => put_numbers(out, Tag::NodeDown, &[node.0, incarnation.0]),
            Command::ForgetNode { node } => put_numbers(out, Tag::ForgetNode, &[node.0]),
            Command::RaiseLevel { level } => put_numbers(out, Tag::RaiseLevel, &[u64::from(*level)]),
        }
    }
}

pub(super) fn take(input: &mut Decoder, format: Format) -> Result<Command, DecodeError> {
    let byte = input.u8()?;
    let tag = Tag::from_u8(byte).ok_or(DecodeError::Unknown { what: "command", value: byte.into() })?;
    Ok(match tag {
        Tag::OpenSession => Command::OpenSession {
            session: SessionId(input.array()?),
            idle_timeout_ms: input.varint()?,
            idempotency_key: take_request(input, format)?,
            caller: take_caller(input, format)?,
        },
        Tag::CloseSession => Command::CloseSession { session: SessionId(input.array()?) },
        Tag::Acquire => Command::Acquire(Box::new(Acquire::take(input, format)?)),
        Tag::Release => {
            Command::Release { name: take_name(input)?, session: take_session(input)?, proof: Proof::take(input)? }
        }
        Tag::Renew => Command::Renew {
            name: take_name(input)?,
            session: take_session(input)?,
            proof: if format >= Format::Clusters { Proof::take(input)? } else { Proof::Key(HoldKey(input.array()?)) },
            lease_ms: input.varint()?,
        },
        Tag::Cancel => Command::Cancel { name: take_name(input)?, key: HoldKey(input.array()?) },
        Tag::ForceRelease => Command::ForceRelease { name: take_name(input)?, key: HoldKey(input.array()?) },
        Tag::ConfirmDelivery => Command::ConfirmDelivery { name: take_name(input)?, key: HoldKey(input.array()?) },
        Tag::CancelWait => Command::CancelWait { name: take_name(input)?, label: take_name(input)? },
        Tag::NodeUp => Command::NodeUp {
            node: NodeId(input.varint()?),
            incarnation: Incarnation(input.varint()?),
            store: StoreId(input.array()?),
            level: input.varint_u32()?,
        },
        Tag::NodeDown => Command::NodeDown { node: NodeId(input.varint()?), incarnation: Incarnation(input.varint()?) },
        Tag::ForgetNode => Command::ForgetNode { node: NodeId(input.varint()?) },
        Tag::RaiseLevel => Command::RaiseLevel { level: input.varint_u32()? },
    })
}

impl Acquire {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_text(&self.name);
        out.put_bytes(&self.key.0);
        out.put_u8(self.dialect as u8);
        put_session(out, self.session);
        put_label(out, self.label.as_deref());
        out.put_flag(self.reentrant);
        out.put_varint(self.size.into());
        out.put_flag(self.remembers_size);
        put_optional(out, self.lease_ms);
        put_wait(out, self.wait);
        out.put_zigzag(self.priority);
        put_metadata(out, &self.metadata);
        put_request(out, self.idempotency_key);
        put_caller(out, self.caller, format);
    }

    fn take(input: &mut Decoder, format: Format) -> Result<Acquire, DecodeError> {
        Ok(Acquire {
            name: take_name(input)?,
            key: HoldKey(input.array()?),
            dialect: take_dialect(input)?,
            session: take_session(input)?,
            label: take_label(input)?,
            reentrant: input.flag()?,
            size: input.varint_u32()?,
            remembers_size: input.flag()?,
            lease_ms: take_optional(input)?,
            wait: take_wait(input)?,
            priority: input.zigzag()?,
            metadata: take_metadata(input)?,
            idempotency_key: take_request(input, format)?,
            caller: take_caller(input, format)?,
        })
    }
}

impl Proof {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Proof::Key(key) => {
                out.put_u8(0);
                out.put_bytes(&key.0);
            }
            Proof::TakenBy(dialect) => {
                out.put_u8(1);
                out.put_u8(*dialect as u8);
            }
            Proof::Label { label, token } => {
                out.put_u8(2);
                out.put_text(label);
                put_optional(out, token.map(|token| token.0));
            }
        }
    }

    fn take(input: &mut Decoder) -> Result<Proof, DecodeError> {
        Ok(match input.u8()? {
            0 => Proof::Key(HoldKey(input.array()?)),
            1 => Proof::TakenBy(take_dialect(input)?),
            2 => Proof::Label { label: take_name(input)?, token: take_optional(input)?.map(Token) },
            value => return Err(DecodeError::Unknown { what: "proof", value: value.into() }),
        })
    }
}

fn put_named_key(out: &mut Vec<u8>, tag: Tag, name: &str, key: HoldKey) {
    out.put_u8(tag as u8);
    out.put_text(name);
    out.put_bytes(&key.0);
}

fn put_numbers(out: &mut Vec<u8>, tag: Tag, numbers: &[u64]) {
    out.put_u8(tag as u8);
    numbers.iter().for_each(|number| out.put_varint(*number));
}

fn put_session(out: &mut Vec<u8>, session: Option<SessionId>) {
    put_optional_id(out, session.map(|session| session.0));
}

fn take_session(input: &mut Decoder) -> Result<Option<SessionId>, DecodeError> {
    Ok(take_optional_id(input)?.map(SessionId))
}

fn put_request(out: &mut Vec<u8>, request: Option<IdempotencyKey>) {
    put_optional_id(out, request.map(|request| request.id.0));
    request.iter().for_each(|request| out.put_bytes(&request.body.0));
}

fn take_request(input: &mut Decoder, format: Format) -> Result<Option<IdempotencyKey>, DecodeError> {
    if format < Format::Clusters || !input.flag()? {
        return Ok(None);
    }
    Ok(Some(IdempotencyKey { id: RequestId(input.array()?), body: BodyDigest(input.array()?) }))
}

fn put_label(out: &mut Vec<u8>, label: Option<&str>) {
    out.put_flag(label.is_some());
    label.iter().for_each(|label| out.put_text(label));
}

fn take_label(input: &mut Decoder) -> Result<Option<Name>, DecodeError> {
    input.flag()?.then(|| take_name(input)).transpose()
}
