//! The bytes of commands, and of the values that entries and snapshots share: our own versioned encoding.
//!
//! Integers are varints, ids are 16 raw bytes, texts follow their length. The byte of a variant is never reused.

use super::command::{Acquire, Command, Force, FreezeOrder, Proof, SessionForce, Upgrade, Wait};
use super::freezes::{Covers, FreezeHolds};
use super::ids::{
    BodyDigest, Caller, CommandId, Dialect, HoldKey, IdempotencyId, IdempotencyKey, Incarnation, Name, NodeId,
    SessionId, StoreId, Token, WaiterId,
};
use super::limits::{Feature, Limits};
use super::metadata::Metadata;
use super::quotas::{Quota, QuotaLimits, QuotaOf, Quotas};
use super::terms::Terms;
use super::time::Timestamp;
use crate::base::byte_enum;
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::base::value::{Value, plain, record, variants};
use std::sync::Arc;

byte_enum! {
    /// The version byte of an entry or snapshot.
    pub enum Format {
        /// A single node. Still read, no longer written.
        SingleNode = 1,
        /// With nodes, delivery states and idempotency keys.
        Clusters = 2,
        /// Snapshots with an event origin; entries did not change.
        EventOrigins = 3,
        /// Snapshots with a table id; entries did not change.
        TableIds = 4,
        /// Entries and snapshots that name callers.
        Callers = 5,
        /// Entries and snapshots with modes, weights, sets of names and marks.
        Modes = 6,
        /// Entries and snapshots that may name the dialects of Terraform and Redis.
        MoreDialects = 7,
        /// Snapshots in which a delay tells for whom it counts.
        ModeBounds = 8,
        /// Entries that tell who forces the end of a hold and why, and snapshots with the history of names.
        History = 9,
        /// Entries and snapshots with freezes.
        Freezes = 10,
        /// Entries and snapshots with quotas, and with who ended a session by force.
        Quotas = 11,
    }
}

impl Format {
    /// Nodes of older releases may have to read a snapshot of a table below their level.
    pub fn of_snapshot(level: u32) -> Format {
        let newest_first = [
            (Feature::Quotas, Format::Quotas),
            (Feature::Freezes, Format::Freezes),
            (Feature::History, Format::History),
            (Feature::ModeBounds, Format::ModeBounds),
            (Feature::MoreDialects, Format::MoreDialects),
            (Feature::Modes, Format::Modes),
            (Feature::Callers, Format::Callers),
            (Feature::TableIds, Format::TableIds),
            (Feature::EventOrigins, Format::EventOrigins),
        ];
        let found = newest_first.into_iter().find(|(feature, _)| level >= *feature as u32);
        found.map_or(Format::Clusters, |(_, format)| format)
    }
}

plain!(Format, u64, |out, value| out.put_varint(*value), |input| input.varint());
plain!(Format, u32, |out, value| out.put_varint(u64::from(*value)), |input| input.varint_u32());
plain!(Format, i32, |out, value| out.put_zigzag(*value), |input| input.zigzag());
plain!(Format, bool, |out, value| out.put_flag(*value), |input| input.flag());
plain!(Format, [u8; 16], |out, value| out.put_bytes(value), |input| input.array());
plain!(Format, Name, |out, value| out.put_text(value), |input| input.text().map(Name::from));

record!(HoldKey { 0 } in Format);
record!(SessionId { 0 } in Format);
record!(StoreId { 0 } in Format);
record!(IdempotencyId { 0 } in Format from Format::Clusters);
record!(BodyDigest { 0 } in Format);
record!(Token { 0 } in Format);
record!(WaiterId { 0 } in Format);
record!(NodeId { 0 } in Format);
record!(Incarnation { 0 } in Format);
record!(Timestamp { 0 } in Format);
record!(CommandId { incarnation, sequence } in Format);
record!(IdempotencyKey { id, body } in Format from Format::Clusters);

record! {
    Acquire {
        name, key, dialect, session, label, reentrant, size, remembers_size, lease_ms, wait, priority, metadata,
        idempotency_key, caller, terms
    } in Format
}

record!(Upgrade { name, session, key, attempt, wait, caller } in Format);
record!(Force { by, reason } in Format from Format::History);
record!(SessionForce { 0 } in Format from Format::Quotas);
record!(FreezeOrder { target, covers, holds, for_ms, reason, by } in Format);
record!(Terms { weight, lock_delay_ms, names, value } in Format from Format::Modes);

variants! {
    Proof in Format as "proof",
    0 = Key(key),
    1 = TakenBy(dialect),
    2 = Label { label, token },
    3 = OfNames { key, names },
}

variants! {
    Command in Format as "command",
    0 = OpenSession { session, idle_timeout_ms, idempotency_key, caller },
    1 = CloseSession { session, force },
    2 = Acquire(acquire),
    3 = Release { name, session, proof },
    4 = Renew { name, session, proof, lease_ms },
    5 = Cancel { name, key },
    6 = ForceRelease { name, key, force },
    7 = ConfirmDelivery { name, key },
    8 = CancelWait { name, label },
    9 = NodeUp { node, incarnation, store, level },
    10 = NodeDown { node, incarnation },
    11 = ForgetNode { node },
    12 = RaiseLevel { level, limits, quotas },
    13 = Downgrade { name, session, key },
    14 = Upgrade(upgrade),
    15 = Transfer { name, session, key, to, new_key },
    16 = Resize { name, size },
    17 = SetValue { name, session, key, value },
    18 = RaiseMark { resource, token, caller },
    20 = Freeze(freeze),
    21 = Thaw { target },
}

variants! {
    QuotaOf in Format as "quota",
    0 = Credential { credential, name },
    1 = EachCredential,
    2 = Prefix(prefix),
}

record!(QuotaLimits { holds_max, sessions_max, waiters_max } in Format);
record!(Quota { of, limits } in Format);

impl Value<Format> for Quotas {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_varint(self.len() as u64);
        self.iter().for_each(|(of, limits)| {
            of.put(out, format);
            limits.put(out, format);
        });
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        let mut quotas = Quotas::default();
        for _ in 0..input.count(4)? {
            if !quotas.insert(Quota::get(input, format)?) {
                return Err(DecodeError::Twice("a quota"));
            }
        }
        Ok(quotas)
    }

    fn is_in(format: Format) -> bool {
        format >= Format::Quotas
    }
}

impl<T: Value<Format>> Value<Format> for Vec<T> {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_varint(self.len() as u64);
        self.iter().for_each(|value| value.put(out, format));
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        (0..input.count(1)?).map(|_| T::get(input, format)).collect()
    }
}

impl<T: Value<Format>> Value<Format> for Box<[T]> {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        out.put_varint(self.len() as u64);
        self.iter().for_each(|value| value.put(out, format));
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        Vec::get(input, format).map(Vec::into_boxed_slice)
    }
}

impl<T: Value<Format>> Value<Format> for Arc<T> {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        (**self).put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        T::get(input, format).map(Arc::new)
    }

    fn is_in(format: Format) -> bool {
        T::is_in(format)
    }
}

impl<T: Value<Format>> Value<Format> for Box<T> {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        (**self).put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        T::get(input, format).map(Box::new)
    }

    fn is_in(format: Format) -> bool {
        T::is_in(format)
    }
}

impl<A: Value<Format>, B: Value<Format>> Value<Format> for (A, B) {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        self.0.put(out, format);
        self.1.put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        Ok((A::get(input, format)?, B::get(input, format)?))
    }
}

/// Without a wait, the byte of the variant is 0.
impl Value<Format> for Wait {
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        let (variant, timeout_ms) = match self {
            Wait::Attached { timeout_ms } => (1, timeout_ms),
            Wait::Detached { timeout_ms } => (2, timeout_ms),
            Wait::Guarded { timeout_ms } => (3, timeout_ms),
        };
        out.put_u8(variant);
        timeout_ms.put(out, format);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        Wait::get_optional(input, format)?.ok_or(DecodeError::Unknown { what: "wait", value: 0 })
    }

    fn put_optional(wait: Option<&Self>, out: &mut Vec<u8>, format: Format) {
        match wait {
            None => out.put_u8(0),
            Some(wait) => wait.put(out, format),
        }
    }

    fn get_optional(input: &mut Decoder, format: Format) -> Result<Option<Self>, DecodeError> {
        Ok(match input.u8()? {
            0 => None,
            1 => Some(Wait::Attached { timeout_ms: Value::get(input, format)? }),
            2 => Some(Wait::Detached { timeout_ms: Value::get(input, format)? }),
            3 if format >= Format::Modes => Some(Wait::Guarded { timeout_ms: Value::get(input, format)? }),
            value => return Err(DecodeError::Unknown { what: "wait", value: value.into() }),
        })
    }
}

impl Value<Format> for Dialect {
    fn put(&self, out: &mut Vec<u8>, _: Format) {
        out.put_u8(*self as u8);
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        let byte = input.u8()?;
        let known = Dialect::from_u8(byte).filter(|dialect| format >= dialect.format());
        known.ok_or(DecodeError::Unknown { what: "dialect", value: byte.into() })
    }
}

/// Implements [`Value`] for an enum that is one byte.
macro_rules! byte {
    ($type:ident as $what:literal) => {
        impl Value<Format> for $type {
            fn put(&self, out: &mut Vec<u8>, _: Format) {
                out.put_u8(*self as u8);
            }

            fn get(input: &mut Decoder, _: Format) -> Result<Self, DecodeError> {
                let byte = input.u8()?;
                $type::from_u8(byte).ok_or(DecodeError::Unknown { what: $what, value: byte.into() })
            }
        }
    };
}
byte!(Covers as "target of a freeze");
byte!(FreezeHolds as "way to freeze");

impl Value<Format> for Metadata {
    fn put(&self, out: &mut Vec<u8>, _: Format) {
        out.put_varint(self.len() as u64);
        self.iter().for_each(|(key, value)| {
            out.put_text(key);
            out.put_text(value);
        });
    }

    fn get(input: &mut Decoder, _: Format) -> Result<Self, DecodeError> {
        let count = input.count(2)?;
        (0..count).map(|_| Ok((input.text()?, input.text()?))).collect::<Result<Vec<_>, _>>().map(Metadata::from_iter)
    }
}

const HAS_CREDENTIAL: u8 = 1;
const HAS_ADDRESS: u8 = 2;

impl Value<Format> for Caller {
    /// An unknown number takes no bytes, so that equal tables have equal bytes.
    fn put(&self, out: &mut Vec<u8>, format: Format) {
        if format < Format::Callers {
            return;
        }
        let flag = |number: u64, flag: u8| if number == 0 { 0 } else { flag };
        out.put_u8(flag(self.credential, HAS_CREDENTIAL) | flag(self.address, HAS_ADDRESS));
        for number in [self.credential, self.address].into_iter().filter(|number| *number != 0) {
            out.put_be_u64(number);
        }
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        if format < Format::Callers {
            return Ok(Caller::NOBODY);
        }
        let flags = input.u8()?;
        if flags > HAS_CREDENTIAL | HAS_ADDRESS {
            return Err(DecodeError::Unknown { what: "caller", value: flags.into() });
        }
        let mut number = |flag: u8| match flags & flag {
            0 => Ok(0),
            _ => input.be_u64().and_then(|number| if number == 0 { Err(DecodeError::Range) } else { Ok(number) }),
        };
        Ok(Caller { credential: number(HAS_CREDENTIAL)?, address: number(HAS_ADDRESS)? })
    }
}

/// How many limits a format has.
fn limit_count(format: Format) -> usize {
    match format {
        Format::SingleNode => 13,
        Format::Clusters | Format::EventOrigins | Format::TableIds => Limits::count_at(Feature::Clusters as u32),
        Format::Callers => Limits::count_at(Feature::Callers as u32),
        Format::Modes | Format::MoreDialects | Format::ModeBounds => Limits::count_at(Feature::Modes as u32),
        Format::History => Limits::count_at(Feature::History as u32),
        Format::Freezes | Format::Quotas => Limits::COUNT,
    }
}

impl Value<Format> for Limits {
    /// As what a raised level brings with it.
    fn is_in(format: Format) -> bool {
        format >= Format::Modes
    }

    fn put(&self, out: &mut Vec<u8>, format: Format) {
        self.values().iter().take(limit_count(format)).for_each(|value| out.put_varint(*value));
    }

    fn get(input: &mut Decoder, format: Format) -> Result<Self, DecodeError> {
        // The limit of idempotency keys that applied to logs from before there were any.
        let mut values = Limits { requests_max: 1_000_000, ..Limits::default() }.values();
        for value in values.iter_mut().take(limit_count(format)) {
            *value = input.varint()?;
        }
        Ok(Limits::from_values(values))
    }
}
