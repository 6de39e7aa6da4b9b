//! EVAL, EVALSHA and SCRIPT: from a recognised script to calls of the engine.

use super::digest::{Digest, parse};
use super::shape::{Cases, Returns, Script, Shape, Unit};
use crate::base::codec::hex;
use crate::dialects::redis::client::{Client, Done};
use crate::dialects::redis::error::RedisError;
use crate::dialects::redis::holds::{Equality, Holds};
use crate::dialects::redis::keys::{integer, lease_ms, whole_ms, whole_seconds};
use crate::dialects::redis::reply::Reply;
use crate::dialects::redis::request::Request;
use crate::dialects::redis::value::Value;
use crate::domain::Name;
use crate::engine::Granted;

/// `EVAL script numkeys key … argument …`.
pub async fn eval(client: &mut Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let (_, script) = learn(client, request.get(1))?;
    run(client, script, request).await
}

/// The same by the digest of the script.
pub async fn evalsha(client: &mut Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let known = parse(request.get(1)).and_then(|digest| client.shared.scripts.find(&digest));
    let script = known.ok_or_else(|| RedisError::with_prefix("NOSCRIPT", "No matching script. Please use EVAL."))?;
    run(client, script, request).await
}

/// `SCRIPT LOAD script`, `SCRIPT EXISTS digest …`, `SCRIPT FLUSH`.
pub fn script(client: &Client, request: &Request<'_>) -> Result<Done, RedisError> {
    let scripts = &client.shared.scripts;
    let subcommand = request.get(1).to_ascii_uppercase();
    Ok(match (&*subcommand, request.len()) {
        (b"LOAD", 3) => Reply::text(hex(&learn(client, request.get(2))?.0)),
        (b"EXISTS", 3..) => {
            let is_known = |digest| parse(digest).is_some_and(|digest| scripts.find(&digest).is_some());
            Reply::Array(request.from(2).map(|digest| Reply::Integer(is_known(digest).into())).collect())
        }
        // Other callers have sent scripts too.
        (b"FLUSH", 2 | 3) => Reply::OK,
        _ => return Err(RedisError::new("unknown subcommand of SCRIPT: latchd serves LOAD, EXISTS and FLUSH")),
    }
    .into())
}

fn learn(client: &Client, text: &[u8]) -> Result<(Digest, Script), RedisError> {
    let may_take = client.holds()?.identity.may_write();
    client.shared.scripts.learn(text, may_take).ok_or_else(unsupported)
}

fn unsupported() -> RedisError {
    RedisError::new(
        "this script is not supported: latchd runs no Lua, and knows the scripts of lock libraries that compare the value \
         of a key and then delete, renew, read or take it (see docs/dialects/redis.md)",
    )
}

/// The keys and arguments of one script, checked.
struct Call<'a> {
    holds: Holds<'a>,
    names: Vec<Name>,
    value: Value,
    arguments: Vec<&'a [u8]>,
}

impl Call<'_> {
    fn argument(&self, number: usize) -> Result<&[u8], RedisError> {
        let argument = self.arguments.get(number - 1).copied();
        argument.ok_or_else(|| RedisError::new(format!("the script needs {number} arguments")))
    }

    fn name(&self) -> &Name {
        // There is at least one, which `call` has checked.
        &self.names[0]
    }

    fn lease_ms(&self, number: usize, unit: Unit) -> Result<u64, RedisError> {
        let (unit_ms, command) = match unit {
            Unit::Milliseconds => (1, "pexpire"),
            Unit::Seconds => (1000, "expire"),
        };
        lease_ms(self.argument(number)?, unit_ms, command)
    }
}

fn call<'a>(client: &'a Client, script: Script, request: &'a Request<'_>) -> Result<Call<'a>, RedisError> {
    let count = usize::try_from(integer(request.get(2))?).ok().filter(|count| *count <= request.len() - 3);
    let count =
        count.ok_or_else(|| RedisError::new("Number of keys can't be negative or greater than number of args"))?;
    let (shape, holds) = (script.shape, client.holds()?);
    let named = |key| if shape == Shape::ValueAndRemaining { holds.name_to_read(key) } else { holds.name_to_take(key) };
    let names: Vec<Name> = request.from(3).take(count).map(named).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(RedisError::new("the script needs a key"));
    }
    let names_max = holds.engine().limits().names_max;
    if names.len() as u64 > names_max {
        let detail = format!("limit-exceeded: a script may have at most {names_max} keys (locks.names_max)");
        return Err(RedisError::new(detail));
    }
    let arguments: Vec<&[u8]> = request.from(3 + count).skip(script.skipped).collect();
    let value = Value::new(arguments.first().copied().unwrap_or_default(), client.shared.config.value_bytes_max)?;
    if arguments.is_empty() && shape != Shape::ValueAndRemaining {
        return Err(RedisError::new("the script needs the value as its first argument"));
    }
    Ok(Call { holds, names, value, arguments })
}

/// What a script returns, and what it was granted.
type Outcome = (Reply, Option<Granted>);

async fn run(client: &mut Client, script: Script, request: &Request<'_>) -> Result<Done, RedisError> {
    if !script.shape.keeps_or_ends() {
        client.admit()?;
    }
    let (shape, call) = (script.shape, call(client, script, request)?);
    let (reply, granted) = outcome(&call, shape).await?;
    let names = call.names;
    if matches!(shape, Shape::Release(_) | Shape::ReleaseAll(_) | Shape::ReleaseEach) {
        client.forget_ended(&names);
    }
    let Some(granted) = granted else { return Ok(reply.into()) };
    client.took(&names, granted.key);
    Ok(Done { delivery: Some(granted.delivery), ..reply.into() })
}

async fn outcome(call: &Call<'_>, shape: Shape) -> Result<Outcome, RedisError> {
    let (holds, names, value) = (&call.holds, &call.names, &call.value);
    let reply = match shape {
        Shape::TakeAll => {
            let cases = Cases::new(Returns::Number(names.len() as i64), Returns::Number(0), Returns::Number(0));
            return take(call, call.lease_ms(2, Unit::Milliseconds)?, cases).await;
        }
        Shape::Obtain(cases) => return renew_or_take(call, 2, cases, true).await,
        Shape::ObtainIfAsked => return renew_or_take(call, 2, Cases::OK, call.argument(3)? == b"yes").await,
        Shape::ObtainByPart => return renew_or_take(call, 3, Cases::OK, true).await,
        Shape::Release(cases) => cases.reply(holds.release(call.name(), value).await?)?,
        Shape::Renew(unit, cases) => cases.reply(holds.renew(call.name(), value, call.lease_ms(2, unit)?).await?)?,
        Shape::Extend => extend(call).await?,
        Shape::Remaining(unit, cases) => match holds.seen_equal(call.name(), value).await? {
            (Equality::Equal, remaining) => Reply::Integer(in_unit(remaining, unit)),
            (other, _) => cases.reply(other)?,
        },
        Shape::ValueAndRemaining => value_and_remaining(call).await?,
        Shape::RenewAll(cases) => {
            let lease_ms = call.lease_ms(2, Unit::Milliseconds)?;
            cases.counted(holds.renew_all(names, value, lease_ms).await?, names.len())?
        }
        Shape::ReleaseAll(cases) => cases.counted(holds.release_all(names, value).await?, names.len())?,
        Shape::ReleaseEach => Reply::Integer(holds.release_each(names, value).await?),
        Shape::RemainingAll => remaining_all(call).await?,
    };
    Ok((reply, None))
}

async fn take(call: &Call<'_>, lease_ms: u64, cases: Cases) -> Result<Outcome, RedisError> {
    match call.holds.take(&call.names, &call.value, lease_ms).await? {
        Some(granted) => Ok((cases.reply(Equality::Equal)?, Some(granted))),
        None => Ok((cases.reply(Equality::Different)?, None)),
    }
}

/// The time to live is the argument of this number. If the keys are not its own, the script takes them if `takes` says so.
async fn renew_or_take(call: &Call<'_>, lease_number: usize, cases: Cases, takes: bool) -> Result<Outcome, RedisError> {
    let lease_ms = call.lease_ms(lease_number, Unit::Milliseconds)?;
    if call.holds.renew_all(&call.names, &call.value, lease_ms).await? {
        return Ok((cases.reply(Equality::Equal)?, None));
    }
    if takes { take(call, lease_ms, cases).await } else { Ok((Reply::Nil, None)) }
}

/// redis-py's `Lock.extend`.
async fn extend(call: &Call<'_>) -> Result<Reply, RedisError> {
    let mut lease_ms = call.lease_ms(2, Unit::Milliseconds)?;
    if call.argument(3)? == b"0" {
        match call.holds.seen_equal(call.name(), &call.value).await? {
            (Equality::Equal, Some(remaining)) => lease_ms = lease_ms.saturating_add(remaining),
            _ => return Ok(Reply::Integer(0)),
        }
    }
    Cases::ONE.reply(call.holds.renew(call.name(), &call.value, lease_ms).await?)
}

async fn value_and_remaining(call: &Call<'_>) -> Result<Reply, RedisError> {
    let (value, remaining) = match call.holds.seen(call.name()).await? {
        Some(seen) => (Reply::Bulk(seen.value.into()), seen.remaining_ms.map_or(-1, whole_ms)),
        None => (Reply::Nil, -2),
    };
    Ok(Reply::Array(vec![value, Reply::Integer(remaining)]))
}

async fn remaining_all(call: &Call<'_>) -> Result<Reply, RedisError> {
    let mut last = -3;
    for name in &call.names {
        match call.holds.seen_equal(name, &call.value).await? {
            (Equality::Equal, remaining) => last = in_unit(remaining, Unit::Milliseconds),
            _ => return Ok(Reply::Integer(-3)),
        }
    }
    Ok(Reply::Integer(last))
}

fn in_unit(remaining_ms: Option<u64>, unit: Unit) -> i64 {
    remaining_ms.map_or(
        -1,
        match unit {
            Unit::Milliseconds => whole_ms,
            Unit::Seconds => whole_seconds,
        },
    )
}

impl Cases {
    fn reply(self, equality: Equality) -> Result<Reply, RedisError> {
        let returns = match equality {
            Equality::Equal => self.equal,
            Equality::Absent => self.absent,
            Equality::Different => self.different,
        };
        match returns {
            Returns::Number(number) => Ok(Reply::Integer(number)),
            Returns::Ok => Ok(Reply::OK),
            Returns::Nil => Ok(Reply::Nil),
            Returns::Failure => Err(RedisError::with_prefix("ERROR", "the key has another value, or none")),
        }
    }

    /// The same for several keys: a number stands for their count.
    fn counted(self, done: bool, count: usize) -> Result<Reply, RedisError> {
        match self.equal {
            Returns::Number(_) if done => Ok(Reply::Integer(count as i64)),
            _ => self.reply(if done { Equality::Equal } else { Equality::Different }),
        }
    }
}
