//! SET and SETNX: take the lock of this name, or change the hold of it.

use super::client::{Client, Done};
use super::deletion;
use super::error::RedisError;
use super::holds::Holds;
use super::keys::lease_ms;
use super::reply::Reply;
use super::request::Request;
use super::value::Value;
use crate::domain::{HoldKey, Name};
use crate::engine::Granted;

/// When SET does something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    Always,
    /// NX: without the key.
    Absent,
    /// XX: with the key.
    Present,
}

struct Options {
    condition: Condition,
    lease_ms: Option<u64>,
}

pub async fn setnx(client: &mut Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let taken = take(client, request, None).await?;
    let reply = Reply::Integer(taken.is_some().into());
    Ok(Done { reply, delivery: taken.and_then(|done| done.delivery), ends: false })
}

pub async fn set(client: &mut Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let options = options(request)?;
    match options.condition {
        Condition::Absent => Ok(take(client, request, options.lease_ms).await?.unwrap_or_else(|| Reply::Nil.into())),
        _ => overwrite(client, request, options).await,
    }
}

fn options(request: &Request<'_>) -> Result<Options, RedisError> {
    let mut options = Options { condition: Condition::Always, lease_ms: None };
    let mut at = 3;
    while at < request.len() {
        let option = request.get(at).to_ascii_uppercase();
        let (is_first, has_lease) = (options.condition == Condition::Always, options.lease_ms.is_some());
        match &*option {
            b"NX" if is_first => options.condition = Condition::Absent,
            b"XX" if is_first => options.condition = Condition::Present,
            b"PX" | b"EX" if !has_lease && at + 1 < request.len() => {
                at += 1;
                let unit_ms = if option == b"PX" { 1 } else { 1000 };
                options.lease_ms = Some(lease_ms(request.get(at), unit_ms, "SET")?);
            }
            _ => return Err(RedisError::new("syntax error in SET: latchd serves NX or XX, and PX or EX, each once")),
        }
        at += 1;
    }
    Ok(options)
}

/// Takes the key if nobody holds it, whatever its value: also one with an equal value is held.
async fn take(client: &mut Client, request: &Request<'_>, lease_ms: Option<u64>) -> Result<Option<Done>, RedisError> {
    let holds = client.holds()?;
    let name = holds.name_to_take(request.get(1))?;
    let value = Value::new(request.get(2), client.shared.config.value_bytes_max)?;
    let granted = holds.take(std::slice::from_ref(&name), &value, or_longest(&holds, lease_ms)).await?;
    Ok(granted.map(|granted| taken(client, name, granted)))
}

fn taken(client: &mut Client, name: Name, granted: Granted) -> Done {
    client.took(std::slice::from_ref(&name), granted.key);
    Done { delivery: Some(granted.delivery), ..Reply::OK.into() }
}

/// A key without a time to live gets the longest lease: every hold of this dialect ends some time, and can be renewed.
fn or_longest(holds: &Holds<'_>, lease_ms: Option<u64>) -> u64 {
    lease_ms.unwrap_or_else(|| holds.engine().limits().lease_ms_max)
}

/// A plain SET or one with XX. The client's own key with an equal value starts its lease again. Any other is released,
/// by force if the client does not hold it, and taken anew.
async fn overwrite(client: &mut Client, request: &Request<'_>, options: Options) -> Result<Done, RedisError> {
    let holds = client.holds()?;
    let name = holds.name_to_take(request.get(1))?;
    let value = Value::new(request.get(2), client.shared.config.value_bytes_max)?;
    let lease_ms = or_longest(&holds, options.lease_ms);
    let seen = holds.seen(&name).await?;
    if seen.is_none() && options.condition == Condition::Present {
        return Ok(Reply::Nil.into());
    }
    let own = seen.as_ref().and_then(|seen| own_key(client, &name, &value, seen));
    if let Some(key) = own
        && holds.renew_by_key(&name, key, lease_ms).await?
    {
        return Ok(Reply::OK.into());
    }
    // A SET that cannot be carried out must not end the hold.
    holds.check_take(std::slice::from_ref(&name), &value, lease_ms)?;
    holds.check_frozen(&name)?;
    let is_held = seen.is_some_and(|seen| !seen.holds.is_empty());
    let released = is_held && deletion::delete(client, "SET", std::slice::from_ref(&name)).await? > 0;
    let holds = client.holds()?;
    let granted = holds.take(std::slice::from_ref(&name), &value, lease_ms).await;
    let error = match granted {
        Ok(Some(granted)) => return Ok(taken(client, name, granted)),
        Ok(None) => {
            let frozen = holds.check_frozen(&name).err();
            frozen.unwrap_or_else(|| RedisError::new("held: another client took the lock before this one"))
        }
        Err(error) => error,
    };
    Err(if released { error.after_release() } else { error })
}

/// The key of a hold that this connection took and that has this value.
fn own_key(client: &Client, name: &Name, value: &Value, seen: &super::holds::Seen) -> Option<HoldKey> {
    let key = *client.own.get(name)?;
    seen.holds.iter().any(|hold| hold.key == key && value.is_of(hold)).then_some(key)
}
