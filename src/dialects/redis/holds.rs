//! What commands and scripts ask of the engine, for one caller.

use super::error::RedisError;
use super::value::{self, Value};
use crate::access::Identity;
use crate::audit::By;
use crate::domain::view::{HoldView, LockView};
use crate::domain::{Acquire, Caller, Dialect, HoldKey, Name, Proof, Refusal, Terms, Timestamp};
use crate::engine::{Engine, Fault, Granted};
use crate::http::auth::{may_read, may_take};
use crate::http::{AppState, administration};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The engine, as one caller uses it.
pub struct Holds<'a> {
    pub app: &'a AppState,
    pub identity: &'a Identity,
    pub caller: Caller,
    pub from: IpAddr,
}

/// A key, compared with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Equality {
    Equal,
    Absent,
    Different,
}

/// A key that exists: somebody holds the lock, or its delay keeps it from all.
pub struct Seen {
    pub value: Vec<u8>,
    /// `None`: without a lease.
    pub remaining_ms: Option<u64>,
    pub holds: Vec<HoldView>,
}

/// The names that one hold has of those that were asked for.
struct Part {
    name: Name,
    proof: Proof,
    count: i64,
}

impl Holds<'_> {
    pub fn engine(&self) -> &Engine {
        &self.app.engine
    }

    pub fn name_to_take(&self, key: &[u8]) -> Result<Name, RedisError> {
        let name = name(key)?;
        may_take(self.identity, &name)?;
        Ok(name)
    }

    pub fn name_to_read(&self, key: &[u8]) -> Result<Name, RedisError> {
        let name = name(key)?;
        may_read(self.identity, &name)?;
        Ok(name)
    }

    /// Takes all of these names or none; `None` if one is held.
    pub async fn take(&self, names: &[Name], value: &Value, lease_ms: u64) -> Result<Option<Granted>, RedisError> {
        match self.engine().acquire(self.to_take(names, value, lease_ms)?).await {
            Ok(granted) => Ok(Some(granted)),
            // Libraries try again where a key is held, and give up at an error.
            Err(Fault::Refused(
                Refusal::Held(_) | Refusal::SizeMismatch { .. } | Refusal::WaitTimedOut | Refusal::Frozen(_),
            )) => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Refuses what `take` would refuse even if nobody held these names.
    pub fn check_take(&self, names: &[Name], value: &Value, lease_ms: u64) -> Result<(), RedisError> {
        Ok(self.engine().check_acquire(self.to_take(names, value, lease_ms)?)?)
    }

    /// Refuses what is frozen, as far as this node knows.
    pub fn check_frozen(&self, name: &Name) -> Result<(), RedisError> {
        let frozen = self.engine().local_freeze_of(name);
        frozen.map_or(Ok(()), |by| Err(Fault::Refused(Refusal::Frozen(by)).into()))
    }

    fn to_take(&self, names: &[Name], value: &Value, lease_ms: u64) -> Result<Acquire, RedisError> {
        let Some(first) = names.first() else { return Err(RedisError::new("a key is needed")) };
        let several = (names.len() > 1).then(|| {
            Arc::new(Terms { names: names.iter().map(|name| (name.clone(), 1)).collect(), ..Terms::default() })
        });
        Ok(Acquire {
            label: Some(value.label()),
            lease_ms: Some(lease_ms),
            caller: self.caller,
            terms: several,
            ..Acquire::new(first.clone(), Engine::new_key(), Dialect::Redis)
        })
    }

    /// Releases the hold with this value.
    pub async fn release(&self, name: &Name, value: &Value) -> Result<Equality, RedisError> {
        let released = self.engine().release(name.clone(), None, value.proof()).await;
        self.compared(name, released.map(drop))
    }

    /// Starts the lease of the hold with this value again.
    pub async fn renew(&self, name: &Name, value: &Value, lease_ms: u64) -> Result<Equality, RedisError> {
        let renewed = self.engine().renew(name.clone(), None, value.proof(), lease_ms).await;
        self.compared(name, renewed.map(drop))
    }

    /// What the outcome of a command by value says about the key.
    fn compared(&self, name: &Name, outcome: Result<(), Fault>) -> Result<Equality, RedisError> {
        match outcome {
            Ok(()) => Ok(Equality::Equal),
            Err(Fault::Refused(Refusal::NoSuchLock)) => Ok(Equality::Absent),
            Err(Fault::Refused(Refusal::NotOwner | Refusal::TokenMismatch | Refusal::WrongKey)) => {
                let is_held = self.engine().local_lock(name).is_some_and(|lock| !lock.holds.is_empty());
                Ok(if is_held { Equality::Different } else { Equality::Absent })
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// The key, as every answer until now has left it.
    pub async fn seen(&self, name: &Name) -> Result<Option<Seen>, RedisError> {
        let (lock, now) = self.engine().lock(name).await?;
        Ok(lock.and_then(|lock| Seen::of(lock, now)))
    }

    /// The values of several keys, as every answer until now has left them.
    pub async fn values(&self, names: &[Name]) -> Result<Vec<Option<Vec<u8>>>, RedisError> {
        self.barrier().await?;
        let mut values: BTreeMap<&Name, Option<Vec<u8>>> = BTreeMap::new();
        for name in names {
            if !values.contains_key(name) {
                values.insert(name, self.seen_here(name).map(|seen| seen.value));
                // A lock may have many holds, and others wait for this worker.
                tokio::task::consume_budget().await;
            }
        }
        Ok(names.iter().map(|name| values.get(name).cloned().flatten()).collect())
    }

    /// After this, this node's table has all that was answered before.
    pub async fn barrier(&self) -> Result<(), RedisError> {
        Ok(self.engine().read_barrier().await.map_err(Fault::from)?)
    }

    /// The key in this node's table.
    pub fn seen_here(&self, name: &Name) -> Option<Seen> {
        Seen::of(self.engine().local_lock(name)?, self.engine().now())
    }

    /// The hold with this value, and what remains of its lease.
    pub async fn seen_equal(&self, name: &Name, value: &Value) -> Result<(Equality, Option<u64>), RedisError> {
        let Some(seen) = self.seen(name).await? else { return Ok((Equality::Absent, None)) };
        let is_equal = seen.holds.iter().any(|hold| value.is_of(hold));
        Ok((if is_equal { Equality::Equal } else { Equality::Different }, seen.remaining_ms))
    }
}

/// Several keys at once.
impl Holds<'_> {
    /// Releases what has this value; how many keys that were.
    pub async fn release_each(&self, names: &[Name], value: &Value) -> Result<i64, RedisError> {
        if let [name] = names {
            return Ok(i64::from(self.release(name, value).await? == Equality::Equal));
        }
        self.release_parts(self.parts(names, value).await?).await
    }

    async fn release_parts(&self, parts: Vec<Part>) -> Result<i64, RedisError> {
        let mut released = 0;
        for part in parts {
            match self.engine().release(part.name, None, part.proof).await {
                Ok(_) => released += part.count,
                // It has ended meanwhile.
                Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(released)
    }

    /// Renews all of these keys if each has this value, and otherwise none.
    pub async fn renew_all(&self, names: &[Name], value: &Value, lease_ms: u64) -> Result<bool, RedisError> {
        if let [name] = names {
            return Ok(self.renew(name, value, lease_ms).await? == Equality::Equal);
        }
        let Some(parts) = self.all_parts(names, value).await? else { return Ok(false) };
        for part in parts {
            match self.engine().renew(part.name, None, part.proof, lease_ms).await {
                Ok(_) => {}
                Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => return Ok(false),
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(true)
    }

    /// Releases all of these keys if each has this value, and otherwise none.
    pub async fn release_all(&self, names: &[Name], value: &Value) -> Result<bool, RedisError> {
        let Some(parts) = self.all_parts(names, value).await? else { return Ok(false) };
        let count: i64 = parts.iter().map(|part| part.count).sum();
        Ok(self.release_parts(parts).await? == count)
    }

    async fn all_parts(&self, names: &[Name], value: &Value) -> Result<Option<Vec<Part>>, RedisError> {
        let parts = self.parts(names, value).await?;
        let count: i64 = parts.iter().map(|part| part.count).sum();
        let different: BTreeSet<_> = names.iter().collect();
        Ok((count == different.len() as i64).then_some(parts))
    }

    /// The holds with this value on these names, each name once.
    async fn parts(&self, names: &[Name], value: &Value) -> Result<Vec<Part>, RedisError> {
        self.barrier().await?;
        let mut found: BTreeMap<HoldKey, (bool, Vec<Name>)> = BTreeMap::new();
        for name in names.iter().collect::<BTreeSet<_>>() {
            let lock = self.engine().local_lock(name);
            let hold = lock.and_then(|lock| lock.holds.into_iter().find(|hold| value.is_of(hold)));
            if let Some(hold) = hold {
                let has_several = hold.terms.as_ref().is_some_and(|terms| !terms.names.is_empty());
                found.entry(hold.key).or_insert_with(|| (has_several, Vec::new())).1.push(name.clone());
            }
        }
        let part = |(key, (has_several, names)): (HoldKey, (bool, Vec<Name>))| {
            let (name, count) = (names.first()?.clone(), names.len() as i64);
            let proof = if has_several { Proof::OfNames { key, names: names.into() } } else { Proof::Key(key) };
            Some(Part { name, proof, count })
        };
        Ok(found.into_iter().filter_map(part).collect())
    }
}

/// Without the value.
impl Holds<'_> {
    /// Releases the hold with this key, of all these names; `false` if it has ended.
    pub async fn release_own(&self, names: &[Name], key: HoldKey) -> Result<bool, RedisError> {
        let Some(name) = names.first() else { return Ok(false) };
        let proof = if names.len() > 1 { Proof::OfNames { key, names: names.into() } } else { Proof::Key(key) };
        match self.engine().release(name.clone(), None, proof).await {
            Ok(_) => Ok(true),
            Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Renews the hold with this key; `false` if it has ended.
    pub async fn renew_by_key(&self, name: &Name, key: HoldKey, lease_ms: u64) -> Result<bool, RedisError> {
        match self.engine().renew(name.clone(), None, Proof::Key(key), lease_ms).await {
            Ok(_) => Ok(true),
            Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    fn by(&self) -> By {
        administration::by_at(self.identity, self.from)
    }

    /// As `renew_by_key`, of another client's hold; leaves a line in the log.
    pub async fn force_lease(&self, name: &Name, hold: &HoldView, lease_ms: u64) -> Result<bool, RedisError> {
        match administration::force_lease(self.app, self.by(), name, hold, lease_ms).await? {
            Ok(()) => Ok(true),
            Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The only hold of a key that another client has, for an admin who may end or change it.
    pub fn forced<'s>(&self, command: &str, name: &Name, seen: &'s Seen) -> Result<&'s HoldView, RedisError> {
        if !self.identity.may_administer(name) {
            let detail = format!(
                "forbidden: {command} without the value needs the connection that took {name:?}, or the admin role; send \
                 the script that compares the value"
            );
            return Err(RedisError::with_prefix("NOPERM", detail));
        }
        match &*seen.holds {
            [hold] if hold.names().all(|name| self.identity.may_administer(name)) => Ok(hold),
            [_] => {
                let detail =
                    "forbidden: the hold has other names too, and this credential may not administer some of them";
                Err(RedisError::with_prefix("NOPERM", detail))
            }
            holds => {
                let detail =
                    format!("{name:?} has {} holds: end the one that you mean with DELETE /v1/holds", holds.len());
                Err(RedisError::new(detail))
            }
        }
    }

    /// Ends another client's hold, and leaves a line in the log.
    pub async fn force_release(&self, command: &str, name: &Name, hold: &HoldView) -> Result<bool, RedisError> {
        let reason = format!("{command} of a client of the Redis protocol");
        match administration::force_release(self.app, self.by(), name, hold, &reason).await? {
            Ok(_) => Ok(true),
            Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }
}

impl Seen {
    fn of(lock: LockView, now: Timestamp) -> Option<Seen> {
        let value = match (lock.holds.first(), lock.delayed_until) {
            (Some(oldest), _) => value::shown(oldest),
            (None, Some(_)) => b"latchd:lock-delay".to_vec(),
            // Others wait for it together with further locks, and nobody holds it.
            (None, None) => return None,
        };
        let ends = lock.holds.iter().map(|hold| hold.ends).chain(lock.delayed_until.map(Some));
        // The key is there until the last hold has ended; for ever if one of them never ends.
        let end = ends.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).flatten();
        Some(Seen { value, remaining_ms: end.map(|end| end.since(now).as_millis() as u64), holds: lock.holds })
    }
}

/// Keys are bytes, and names of locks are text.
fn name(key: &[u8]) -> Result<Name, RedisError> {
    let name = str::from_utf8(key).map_err(|_| RedisError::new("invalid-field: the key must be UTF-8"))?;
    if name.is_empty() { Err(RedisError::new("invalid-field: the key is empty")) } else { Ok(Name::from(name)) }
}
