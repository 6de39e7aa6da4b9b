//! Commands about keys that exist: values, times to live, deletion, the fencing token.

use super::client::{Client, Done};
use super::deletion;
use super::error::RedisError;
use super::holds::Seen;
use super::reply::Reply;
use super::request::Request;
use super::value::Value;
use crate::domain::Name;

pub fn integer(text: &[u8]) -> Result<i64, RedisError> {
    let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| RedisError::new("value is not an integer or out of range"))
}

/// A time to live, in units of so many milliseconds; it must be above 0.
pub fn lease_ms(text: &[u8], unit_ms: u64, command: &str) -> Result<u64, RedisError> {
    let lease =
        u64::try_from(integer(text)?).ok().filter(|lease| *lease > 0).and_then(|lease| lease.checked_mul(unit_ms));
    lease.ok_or_else(|| RedisError::new(format!("invalid expire time in '{}' command", command.to_lowercase())))
}

/// Redis rounds to the nearest second.
pub fn whole_seconds(ms: u64) -> i64 {
    whole_ms(ms.saturating_add(500) / 1000)
}

pub fn whole_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

pub async fn get(client: &Client, request: &Request<'_>) -> Result<Done, RedisError> {
    Ok(value_of(seen(client, request.get(1)).await?.map(|seen| seen.value)).into())
}

pub async fn mget(client: &Client, request: &Request<'_>) -> Result<Done, RedisError> {
    Ok(Reply::Array(values(client, request).await?.into_iter().map(value_of).collect()).into())
}

pub async fn exists(client: &Client, request: &Request<'_>) -> Result<Done, RedisError> {
    Ok(Reply::Integer(values(client, request).await?.iter().flatten().count() as i64).into())
}

pub async fn key_type(client: &Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let exists = seen(client, request.get(1)).await?.is_some();
    Ok(Reply::Status(if exists { "string" } else { "none" }).into())
}

/// −2 without the key, −1 without a lease.
pub async fn remaining(client: &Client, request: &Request<'_>, unit: fn(u64) -> i64) -> Result<Done, RedisError> {
    let number = seen(client, request.get(1)).await?.map_or(-2, |seen| seen.remaining_ms.map_or(-1, unit));
    Ok(Reply::Integer(number).into())
}

/// `LATCHD.TOKEN key [value]`: the fencing token of the hold, or of the hold with this value; nil without one.
pub async fn token(client: &Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let seen = seen(client, request.get(1)).await?;
    let wanted = match request.len() {
        2 => None,
        _ => Some(Value::new(request.get(2), client.shared.config.value_bytes_max)?),
    };
    let holds = seen.map(|seen| seen.holds).unwrap_or_default();
    let mine = holds.iter().filter(|hold| wanted.as_ref().is_none_or(|value| value.is_of(hold)));
    let token = mine.map(|hold| hold.token).max();
    Ok(token.map_or(Reply::Nil, |token| Reply::Integer(token.0 as i64)).into())
}

/// Without its value, a key is released by the connection that took it; for any other this is a forced release.
pub async fn delete(client: &mut Client, command: &str, request: &Request<'_>) -> Result<Done, RedisError> {
    let holds = client.holds()?;
    let names: Vec<Name> = request.from(1).map(|key| holds.name_to_take(key)).collect::<Result<_, _>>()?;
    Ok(Reply::Integer(deletion::delete(client, command, &names).await?).into())
}

/// Without the value, as `delete`.
pub async fn expire(client: &Client, command: &str, request: &Request<'_>, unit_ms: u64) -> Result<Done, RedisError> {
    let holds = client.holds()?;
    let name = holds.name_to_take(request.get(1))?;
    let lease_ms = lease_ms(request.get(2), unit_ms, command)?;
    if let Some(key) = client.own.get(&name)
        && holds.renew_by_key(&name, *key, lease_ms).await?
    {
        return Ok(Reply::Integer(1).into());
    }
    let renewed = match holds.seen(&name).await? {
        Some(seen) if !seen.holds.is_empty() => {
            let hold = holds.forced(command, &name, &seen)?;
            holds.force_lease(&name, hold, lease_ms).await?
        }
        _ => false,
    };
    Ok(Reply::Integer(renewed.into()).into())
}

async fn seen(client: &Client, key: &[u8]) -> Result<Option<Seen>, RedisError> {
    let holds = client.holds()?;
    holds.seen(&holds.name_to_read(key)?).await
}

async fn values(client: &Client, request: &Request<'_>) -> Result<Vec<Option<Vec<u8>>>, RedisError> {
    let holds = client.holds()?;
    let names: Vec<Name> = request.from(1).map(|key| holds.name_to_read(key)).collect::<Result<_, _>>()?;
    holds.values(&names).await
}

fn value_of(value: Option<Vec<u8>>) -> Reply {
    value.map_or(Reply::Nil, |value| Reply::Bulk(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_to_live_is_a_positive_integer() {
        assert_eq!(lease_ms(b"1", 1000, "SET"), Ok(1000));
        for bad in [&b"0"[..], b"-1", b"1.5", b"", b"9223372036854775807", b"99999999999999999999", b"\xff"] {
            assert!(lease_ms(bad, 1000, "SET").is_err(), "{bad:?}");
        }
        assert_eq!([0, 499, 500, 1499].map(whole_seconds), [0, 0, 1, 1]);
    }
}
