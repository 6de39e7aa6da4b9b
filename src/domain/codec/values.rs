//! Values that entries and snapshots encode alike.

use super::Format;
use crate::base::codec::{DecodeError, Decoder, Encode};
use crate::domain::command::Wait;
use crate::domain::ids::{Caller, Dialect, Name};
use crate::domain::limits::Limits;
use crate::domain::metadata::Metadata;
use std::sync::Arc;

const HAS_CREDENTIAL: u8 = 1;
const HAS_ADDRESS: u8 = 2;

pub fn take_name(input: &mut Decoder) -> Result<Name, DecodeError> {
    input.text().map(Arc::from)
}

pub fn put_metadata(out: &mut Vec<u8>, metadata: &Metadata) {
    out.put_varint(metadata.len() as u64);
    metadata.iter().for_each(|(key, value)| {
        out.put_text(key);
        out.put_text(value);
    });
}

pub fn take_metadata(input: &mut Decoder) -> Result<Metadata, DecodeError> {
    let count = input.count(2)?;
    (0..count).map(|_| Ok((input.text()?, input.text()?))).collect::<Result<Vec<_>, _>>().map(Metadata::from_iter)
}

/// An unknown number takes no bytes, so that equal tables have equal bytes.
pub fn put_caller(out: &mut Vec<u8>, caller: Caller, format: Format) {
    if format < Format::Callers {
        return;
    }
    let flag = |number: u64, flag: u8| if number == 0 { 0 } else { flag };
    out.put_u8(flag(caller.credential, HAS_CREDENTIAL) | flag(caller.address, HAS_ADDRESS));
    for number in [caller.credential, caller.address].into_iter().filter(|number| *number != 0) {
        out.put_be_u64(number);
    }
}

pub fn take_caller(input: &mut Decoder, format: Format) -> Result<Caller, DecodeError> {
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

pub fn put_optional_id(out: &mut Vec<u8>, id: Option<[u8; 16]>) {
    out.put_flag(id.is_some());
    id.iter().for_each(|id| out.put_bytes(id));
}

pub fn take_optional_id(input: &mut Decoder) -> Result<Option<[u8; 16]>, DecodeError> {
    input.flag()?.then(|| input.array()).transpose()
}

pub fn put_optional(out: &mut Vec<u8>, value: Option<u64>) {
    out.put_flag(value.is_some());
    value.iter().for_each(|value| out.put_varint(*value));
}

pub fn take_optional(input: &mut Decoder) -> Result<Option<u64>, DecodeError> {
    input.flag()?.then(|| input.varint()).transpose()
}

pub fn put_wait(out: &mut Vec<u8>, wait: Option<Wait>) {
    match wait {
        None => out.put_u8(0),
        Some(Wait::Attached { timeout_ms }) => {
            out.put_u8(1);
            out.put_varint(timeout_ms);
        }
        Some(Wait::Detached { timeout_ms }) => {
            out.put_u8(2);
            out.put_varint(timeout_ms);
        }
    }
}

pub fn take_wait(input: &mut Decoder) -> Result<Option<Wait>, DecodeError> {
    Ok(match input.u8()? {
        0 => None,
        1 => Some(Wait::Attached { timeout_ms: input.varint()? }),
        2 => Some(Wait::Detached { timeout_ms: input.varint()? }),
        value => return Err(DecodeError::Unknown { what: "wait", value: value.into() }),
    })
}

pub fn take_dialect(input: &mut Decoder) -> Result<Dialect, DecodeError> {
    let byte = input.u8()?;
    Dialect::from_u8(byte).ok_or(DecodeError::Unknown { what: "dialect", value: byte.into() })
}

/// How many limits a format has.
fn limit_count(format: Format) -> usize {
    match format {
        Format::SingleNode => 13,
        Format::Clusters | Format::EventOrigins | Format::TableIds => 14,
        Format::Callers => Limits::COUNT,
    }
}

pub fn put_limits(out: &mut Vec<u8>, limits: &Limits, format: Format) {
    limits.values().iter().take(limit_count(format)).for_each(|value| out.put_varint(*value));
}

pub fn take_limits(input: &mut Decoder, format: Format) -> Result<Limits, DecodeError> {
    // The limit of idempotency keys that applied to logs from before there were any.
    let mut values = Limits { requests_max: 1_000_000, ..Limits::default() }.values();
    for value in values.iter_mut().take(limit_count(format)) {
        *value = input.varint()?;
    }
    Ok(Limits::from_values(values))
}
