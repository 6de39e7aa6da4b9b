//! The whole state as bytes. Equal states give equal bytes.

mod parts;
mod records;
mod restore;

use super::codec::{CALLERS, CLUSTERS, DecodeError, LIVES, ORIGINS, Put, SINGLE_NODE, Take};
use super::cow::FrozenMap;
use super::idempotency::RequestRecord;
use super::ids::{Name, NodeId, RequestId, SessionId};
use super::limits::Limits;
use super::lock::Lock;
use super::nodes::{LEVEL_OF_CALLERS, LEVEL_OF_LIVES, LEVEL_OF_ORIGINS, NodeRecord};
use super::session::Session;
use super::table::Table;
use super::time::Timestamp;
use super::view::{LockFilter, LockView, SessionView, WaiterView};
use records::{put_lock, put_node, put_request, put_session};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// Records are written out when this many bytes have gathered.
const FLUSH_BYTES: usize = 64 * 1024;

/// A consistent view of the table, read while the table goes on.
pub struct FrozenTable {
    now: Timestamp,
    epoch: u64,
    next_token: u64,
    next_waiter: u64,
    origin: u64,
    life: u64,
    limits: Limits,
    level: u32,
    confirm: bool,
    nodes: BTreeMap<NodeId, NodeRecord>,
    locks: FrozenMap<Name, Lock>,
    sessions: FrozenMap<SessionId, Session>,
    remembered: FrozenMap<Name, (u32, Timestamp)>,
    requests: FrozenMap<RequestId, RequestRecord>,
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
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
            origin: self.origin,
            life: self.life,
            limits: self.limits.clone(),
            level: self.level,
            confirm: self.confirm,
            nodes: self.nodes.clone(),
            locks: self.locks.freeze(),
            sessions: self.sessions.freeze(),
            remembered: self.remembered.freeze(),
            requests: self.requests.freeze(),
        }
    }

    /// The table that [`FrozenTable::write_to`] wrote.
    pub fn restore(input: &mut dyn Read) -> Result<Table, SnapshotError> {
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        let mut take = Take(&bytes);
        restore::take_table(&mut take)
            .map_err(|error| SnapshotError::Damaged { offset: bytes.len() - take.0.len(), error })
    }
}

impl FrozenTable {
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(2 * FLUSH_BYTES);
        let version = version_of(self.level);
        self.put_head(&mut buffer);
        buffer.put_u64(self.sessions.len() as u64);
        for (id, session) in self.sessions.iter() {
            put_session(&mut buffer, *id, session, version);
            flush_full(&mut buffer, out)?;
        }
        buffer.put_u64(self.remembered.len() as u64);
        for (name, (size, until)) in self.remembered.iter() {
            buffer.put_text(name);
            buffer.put_u64((*size).into());
            buffer.put_u64(until.0);
            flush_full(&mut buffer, out)?;
        }
        buffer.put_u64(self.requests.len() as u64);
        for (id, record) in self.requests.iter() {
            put_request(&mut buffer, *id, record, version);
            flush_full(&mut buffer, out)?;
        }
        buffer.put_u64(self.locks.len() as u64);
        for (name, lock) in self.locks.iter() {
            put_lock(&mut buffer, name, lock, version);
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
            .filter_map(move |(name, lock)| lock.view(name, now, |session| self.live(session)))
            .filter(|view| filter.accepts(view))
    }

    /// Who waits for a lock at `now`, in the order of their turns.
    pub fn waiters_view(&self, name: &Name, now: Timestamp) -> Vec<WaiterView> {
        let lock = self.locks.get(name);
        lock.map_or_else(Vec::new, |lock| lock.waiters_view(now, |session| self.is_live(session)))
    }

    fn is_live(&self, session: SessionId) -> bool {
        self.live(session).is_some()
    }

    fn live(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session).filter(|session| !session.ended)
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
        let version = version_of(self.level);
        out.put_u8(version);
        [self.now.0, self.epoch, self.next_token, self.next_waiter].into_iter().for_each(|value| out.put_u64(value));
        self.limits.put(out, version);
        out.put_u64(self.level.into());
        out.put_u8(u8::from(self.confirm));
        if version >= ORIGINS {
            out.put_u64(self.origin);
        }
        if version >= LIVES {
            out.put_u64(self.life);
        }
        out.put_u64(self.nodes.len() as u64);
        self.nodes.iter().for_each(|(node, record)| put_node(out, *node, record));
    }
}

/// Below the level of a format a node of an older release may have to read it.
fn version_of(level: u32) -> u8 {
    match level {
        LEVEL_OF_CALLERS.. => CALLERS,
        LEVEL_OF_LIVES.. => LIVES,
        LEVEL_OF_ORIGINS => ORIGINS,
        _ => CLUSTERS,
    }
}

fn flush_full(buffer: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
    if buffer.len() >= FLUSH_BYTES {
        out.write_all(buffer)?;
        buffer.clear();
    }
    Ok(())
}
