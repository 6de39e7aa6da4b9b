//! A snapshot read back: what cannot be true is refused.

use super::super::codec::{DecodeError, Take};
use super::super::idempotency::{Made, RequestRecord};
use super::super::ids::{Incarnation, Name, NodeId, RequestId, SessionId, StoreId};
use super::super::limits::Limits;
use super::super::lock::Lock;
use super::super::nodes::NodeRecord;
use super::super::session::Session;
use super::super::table::Table;
use super::super::time::Timestamp;
use super::super::usage::Usage;
use super::records::{take_lock, take_node, take_request, take_session};
use super::{CALLERS, CLUSTERS, LIVES, ORIGINS, SINGLE_NODE, version_of};

pub fn take_table(take: &mut Take) -> Result<Table, DecodeError> {
    let version = take.u8()?;
    if ![SINGLE_NODE, CLUSTERS, ORIGINS, LIVES, CALLERS].contains(&version) {
        return Err(DecodeError::Unknown { what: "snapshot version", value: version.into() });
    }
    let mut table = Table {
        now: Timestamp(take.u64()?),
        epoch: take_counter(take)?,
        next_token: take.u64()?,
        next_waiter: take_counter(take)?,
        ..Table::default()
    };
    match version {
        SINGLE_NODE => take_single_node(take, &mut table),
        _ => take_nodes(take, version, &mut table),
    }?;
    for _ in 0..take.count(19)? {
        let (id, session) = take_session(take, version)?;
        if !table.adopt_session(id, session) {
            return Err(DecodeError::Twice("a session"));
        }
    }
    for _ in 0..take.count(3)? {
        let (name, size, until) = (take.name()?, take.u32()?, Timestamp(take.u64()?));
        table.remembered.remember(&name, size, until, u64::MAX);
    }
    if version >= CLUSTERS {
        take_requests(take, version, &mut table)?;
    }
    let mut living = table.check_sessions_requests()?;
    for _ in 0..take.count(4)? {
        let (name, lock) = take_lock(take, version)?;
        table.check_counters(&lock)?;
        living += table.check_locks_requests(&name, &lock)?;
        if !table.adopt_lock(name, lock) {
            return Err(DecodeError::Twice("a lock"));
        }
    }
    take.end()?;
    // A record without what it made would never be dropped.
    let is_matched = living == table.requests.len() - table.index.ended_requests.len();
    if is_matched { Ok(table) } else { Err(DecodeError::Unmatched("a request")) }
}

/// Before there were clusters, the only node was 1, and its store had no id.
fn take_single_node(take: &mut Take, table: &mut Table) -> Result<(), DecodeError> {
    table.limits = Limits::take(take, SINGLE_NODE)?;
    table.level = u32::from(table.next_token != 0);
    for _ in 0..take.count(2)? {
        let (incarnation, last_sequence) = (Incarnation(take.u64()?), take.u64()?);
        let record = NodeRecord { incarnation, last_sequence, up: true, store: StoreId::UNKNOWN, level: 1 };
        table.nodes.entry(NodeId(1)).or_insert(record);
    }
    Ok(())
}

fn take_nodes(take: &mut Take, version: u8, table: &mut Table) -> Result<(), DecodeError> {
    table.limits = Limits::take(take, version)?;
    (table.level, table.confirm) = (take.u32()?, take.flag()?);
    if version != version_of(table.level) {
        return Err(DecodeError::Range);
    }
    if version >= ORIGINS {
        table.origin = take_counter(take)?;
    }
    if version >= LIVES {
        table.life = take_counter(take)?;
    }
    for _ in 0..take.count(21)? {
        let (node, record) = take_node(take)?;
        if table.nodes.insert(node, record).is_some() {
            return Err(DecodeError::Twice("a node"));
        }
    }
    Ok(())
}

fn take_requests(take: &mut Take, version: u8, table: &mut Table) -> Result<(), DecodeError> {
    for _ in 0..take.count(34)? {
        let (id, record) = take_request(take, version)?;
        if !table.adopt_request(id, record) {
            return Err(DecodeError::Twice("a request"));
        }
    }
    Ok(())
}

impl Table {
    /// Whether it is new.
    fn adopt_session(&mut self, id: SessionId, session: Session) -> bool {
        if session.ended {
            self.index.ended_sessions.insert(id);
        } else {
            self.index.sessions.insert((session.deadline, id));
        }
        self.index.usages.add(session.caller, Usage::SESSION);
        self.sessions.insert(id, session).is_none()
    }

    fn adopt_request(&mut self, id: RequestId, record: RequestRecord) -> bool {
        if record.made == Made::Ended {
            self.index.ended_requests.insert((record.until, id));
        }
        self.index.usages.add(record.caller, Usage::of_request(&record));
        self.requests.insert(id, record).is_none()
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
        self.locks.insert(name, lock).is_none()
    }

    /// What a request made and its record name each other, or it could be given a second time. How many there are.
    fn check_locks_requests(&self, name: &Name, lock: &Lock) -> Result<usize, DecodeError> {
        let mut living = 0;
        for (request, token) in lock.holds.iter().filter_map(|hold| Some((hold.request()?, hold.token))) {
            self.check_made(request, Made::Hold { name: name.clone(), token })?;
            living += 1;
        }
        for (request, key) in lock.queue.iter().filter_map(|(_, waiter)| Some((waiter.request?, waiter.key))) {
            self.check_made(request, Made::Waiter { name: name.clone(), key })?;
            living += 1;
        }
        Ok(living)
    }

    fn check_sessions_requests(&self) -> Result<usize, DecodeError> {
        let mut living = 0;
        for (request, id) in self.sessions.iter().filter_map(|(id, session)| Some((session.request?, *id))) {
            self.check_made(request, Made::Session(id))?;
            living += 1;
        }
        Ok(living)
    }

    fn check_made(&self, request: RequestId, made: Made) -> Result<(), DecodeError> {
        let is_so = self.requests.get(&request).is_some_and(|record| record.made == made);
        if is_so { Ok(()) } else { Err(DecodeError::Unmatched("a request")) }
    }
}

/// A number that is counted up by one now and then, and so never comes near its end.
fn take_counter(take: &mut Take) -> Result<u64, DecodeError> {
    take.u64().and_then(|value| if value < 1 << 63 { Ok(value) } else { Err(DecodeError::Range) })
}
