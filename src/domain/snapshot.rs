//! The whole state as bytes. Version 1. Equal states give equal bytes.

use super::codec::command::{put_lease, put_wait, take_dialect, take_lease, take_wait};
use super::codec::{DecodeError, Put, Take};
use super::cow::FrozenMap;
use super::ids::{CommandId, HoldKey, Incarnation, Name, SessionId, Token, WaiterId};
use super::limits::Limits;
use super::lock::{Hold, Lock, Owner, Place, Waiter};
use super::session::Session;
use super::table::Table;
use super::time::Timestamp;
use super::view::{LockFilter, LockView, SessionView};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

const VERSION: u8 = 1;
/// Records are written out when this many bytes have gathered.
const FLUSH_BYTES: usize = 64 * 1024;

/// A consistent view of the table, read while the table goes on.
pub struct FrozenTable {
    now: Timestamp,
    epoch: u64,
    next_token: u64,
    next_waiter: u64,
    limits: Limits,
    origins: BTreeMap<Incarnation, u64>,
    locks: FrozenMap<Name, Lock>,
    sessions: FrozenMap<SessionId, Session>,
    remembered: FrozenMap<Name, (u32, Timestamp)>,
}

#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is damaged at byte {offset}: {error}")]
    Damaged { offset: usize, error: DecodeError },
}

impl Table {
    /// Cheap, whatever the table holds: later writes copy the parts they change.
    pub fn freeze(&self) -> FrozenTable {
        FrozenTable {
            now: self.now,
            epoch: self.epoch,
            next_token: self.next_token,
            next_waiter: self.next_waiter,
            limits: self.limits.clone(),
            origins: self.origins.clone(),
            locks: self.locks.freeze(),
            sessions: self.sessions.freeze(),
            remembered: self.remembered.freeze(),
        }
    }

    /// The table that [`FrozenTable::write_to`] wrote.
    pub fn restore(input: &mut dyn Read) -> Result<Table, RestoreError> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        let mut take = Take(&bytes);
        take_table(&mut take).map_err(|error| RestoreError::Damaged { offset: bytes.len() - take.0.len(), error })
    }
}

impl FrozenTable {
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(2 * FLUSH_BYTES);
        self.put_head(&mut buffer);
        buffer.put_u64(self.sessions.len() as u64);
        for (id, session) in self.sessions.iter() {
            put_session(&mut buffer, *id, session);
            flush_full(&mut buffer, out)?;
        }
        buffer.put_u64(self.remembered.len() as u64);
        for (name, (size, until)) in self.remembered.iter() {
            buffer.put_text(name);
            buffer.put_u64((*size).into());
            buffer.put_u64(until.0);
            flush_full(&mut buffer, out)?;
        }
        buffer.put_u64(self.locks.len() as u64);
        for (name, lock) in self.locks.iter() {
            put_lock(&mut buffer, name, lock);
            flush_full(&mut buffer, out)?;
        }
        out.write_all(&buffer)
    }

    /// Locks that count at `now`, in order of their names, from the first after `after`.
    pub fn locks<'a>(
        &'a self,
        filter: &'a LockFilter,
        after: Option<&Name>,
        now: Timestamp,
    ) -> impl Iterator<Item = LockView> + 'a {
        let prefix: Name = Arc::from(filter.prefix.as_str());
        let after = after.filter(|after| ***after >= *prefix).cloned();
        let start = after.clone().unwrap_or(prefix);
        self.locks
            .ordered_from(&start)
            .skip_while(move |(name, _)| Some(*name) == after.as_ref())
            .take_while(|(name, _)| name.starts_with(&filter.prefix))
            // Views copy their holds: not made for the many that nobody waits for.
            .filter(|(_, lock)| filter.contended != Some(true) || !lock.queue.is_empty())
            .filter_map(move |(name, lock)| lock.view(name, now, |session| self.is_live(session)))
            .filter(|view| filter.accepts(view))
    }

    fn is_live(&self, session: SessionId) -> bool {
        self.sessions.get(&session).is_some_and(|session| !session.ended)
    }

    /// Live sessions in order of their ids.
    pub fn sessions_after(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionView> {
        let mut live: Vec<(&SessionId, &Session)> = self
            .sessions
            .iter()
            .filter(|(id, session)| !session.ended && after.is_none_or(|after| **id > after))
            .collect();
        live.sort_unstable_by_key(|(id, _)| **id);
        live.into_iter().take(limit).map(|(id, session)| session.view(*id)).collect()
    }

    fn put_head(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        [self.now.0, self.epoch, self.next_token, self.next_waiter].into_iter().for_each(|value| out.put_u64(value));
        self.limits.put(out);
        out.put_u64(self.origins.len() as u64);
        for (run, sequence) in &self.origins {
            out.put_u64(run.0);
            out.put_u64(*sequence);
        }
    }
}

fn flush_full(buffer: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
    if buffer.len() >= FLUSH_BYTES {
        out.write_all(buffer)?;
        buffer.clear();
    }
    Ok(())
}

fn take_table(take: &mut Take) -> Result<Table, DecodeError> {
    let version = take.u8()?;
    if version != VERSION {
        return Err(DecodeError::Unknown { what: "snapshot version", value: version.into() });
    }
    let mut table = Table {
        now: Timestamp(take.u64()?),
        epoch: take_counter(take)?,
        next_token: take.u64()?,
        next_waiter: take_counter(take)?,
        limits: Limits::take(take)?,
        ..Table::default()
    };
    for _ in 0..take.count(2)? {
        table.origins.insert(Incarnation(take.u64()?), take.u64()?);
    }
    for _ in 0..take.count(19)? {
        let (id, session) = take_session(take)?;
        if !table.adopt_session(id, session) {
            return Err(DecodeError::Twice("a session"));
        }
    }
    for _ in 0..take.count(3)? {
        let (name, size, until) = (take.name()?, take.u32()?, Timestamp(take.u64()?));
        table.remembered.remember(&name, size, until, u64::MAX);
    }
    for _ in 0..take.count(4)? {
        let (name, lock) = take_lock(take)?;
        table.check_counters(&lock)?;
        if !table.adopt_lock(name, lock) {
            return Err(DecodeError::Twice("a lock"));
        }
    }
    take.end()?;
    Ok(table)
}

impl Table {
    /// Whether it is new.
    fn adopt_session(&mut self, id: SessionId, session: Session) -> bool {
        if session.ended {
            self.index.ended_sessions.insert(id);
        } else {
            self.index.sessions.insert((session.deadline, id));
        }
        self.sessions.insert(id, session)
    }

    /// A token or place at or past the counters would be given a second time.
    fn check_counters(&self, lock: &Lock) -> Result<(), DecodeError> {
        let given = lock.holds.iter().all(|hold| hold.token.0 < self.next_token)
            && lock.queue.iter().all(|(place, _)| place.1.0 < self.next_waiter);
        if given { Ok(()) } else { Err(DecodeError::Range) }
    }

    /// Whether it is new.
    fn adopt_lock(&mut self, name: Name, mut lock: Lock) -> bool {
        lock.recompute_next_due();
        for hold in &lock.holds {
            self.index.add_hold(&name, hold);
            hold.owner.session().into_iter().for_each(|session| self.count_hold(session));
        }
        for (place, waiter) in lock.queue.iter() {
            self.index.add_waiter(&name, *place, waiter);
            waiter.owner.session().into_iter().for_each(|session| self.count_waiter(session));
        }
        self.locks.insert(name, lock)
    }
}

/// A number that is counted up by one now and then, and so never comes near its end.
fn take_counter(take: &mut Take) -> Result<u64, DecodeError> {
    take.u64().and_then(|value| if value < 1 << 63 { Ok(value) } else { Err(DecodeError::Range) })
}

fn put_session(out: &mut Vec<u8>, id: SessionId, session: &Session) {
    out.put_raw(&id.0);
    out.put_u64(session.idle_timeout_ms);
    out.put_u64(session.deadline.0);
    out.put_u8(u8::from(session.ended));
}

fn take_session(take: &mut Take) -> Result<(SessionId, Session), DecodeError> {
    let id = SessionId(take.id()?);
    let (idle_timeout_ms, deadline, ended) = (take.u64()?, Timestamp(take.u64()?), take.flag()?);
    Ok((id, Session { idle_timeout_ms, deadline, ended, holds: 0, waiters: 0 }))
}

fn put_lock(out: &mut Vec<u8>, name: &Name, lock: &Lock) {
    out.put_text(name);
    out.put_u64(lock.size.into());
    out.put_u64(lock.size_to_remember.into());
    out.put_u64(lock.holds.len() as u64);
    lock.holds.iter().for_each(|hold| put_hold(out, hold));
    out.put_u64(lock.queue.len() as u64);
    lock.queue.iter().for_each(|(place, waiter)| put_waiter(out, *place, waiter));
}

fn take_lock(take: &mut Take) -> Result<(Name, Lock), DecodeError> {
    let name = take.name()?;
    let mut lock = Lock { size: take.u32()?, size_to_remember: take.u32()?, ..Lock::default() };
    let count = take.count(22)?;
    lock.holds = Vec::with_capacity(count);
    for _ in 0..count {
        lock.holds.push(take_hold(take)?);
    }
    for _ in 0..take.count(30)? {
        let (place, waiter) = take_waiter(take)?;
        lock.queue.insert(place, waiter);
    }
    Ok((name, lock))
}

fn put_hold(out: &mut Vec<u8>, hold: &Hold) {
    out.put_raw(&hold.key.0);
    out.put_u64(hold.token.0);
    out.put_u64(hold.since.0);
    put_lease(out, hold.lease().map(|deadline| deadline.0));
    put_owner(out, &hold.owner);
    out.put_metadata(&hold.metadata);
    out.put_u8(hold.dialect as u8);
}

fn take_hold(take: &mut Take) -> Result<Hold, DecodeError> {
    Ok(Hold {
        key: HoldKey(take.id()?),
        token: Token(take.u64()?),
        since: Timestamp(take.u64()?),
        deadline: take_lease(take)?.map_or(Timestamp::NEVER, Timestamp),
        owner: take_owner(take)?,
        metadata: take.metadata()?,
        dialect: take_dialect(take)?,
    })
}

fn put_waiter(out: &mut Vec<u8>, place: Place, waiter: &Waiter) {
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
}

fn take_waiter(take: &mut Take) -> Result<(Place, Waiter), DecodeError> {
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
    };
    Ok((place, waiter))
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
