//! A snapshot is read back; a state that no table can have is refused.

use super::parts::Parts;
use crate::base::codec::{DecodeError, Decoder};
use crate::base::value::Value;
use crate::domain::codec::Format;
use crate::domain::freezes::Freeze;
use crate::domain::history::Ring;
use crate::domain::idempotency::{IdempotencyRecord, IdempotencyResult};
use crate::domain::ids::{IdempotencyId, Incarnation, Name, NodeId, SessionId, StoreId, Token};
use crate::domain::locks::Lock;
use crate::domain::marks::Mark;
use crate::domain::nodes::NodeRecord;
use crate::domain::sessions::Session;
use crate::domain::table::{Header, Table};
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;
use std::collections::BTreeSet;

pub fn get_table(input: &mut Decoder) -> Result<Table, DecodeError> {
    let byte = input.u8()?;
    let format = Format::from_u8(byte).ok_or(DecodeError::Unknown { what: "snapshot version", value: byte.into() })?;
    let mut table = Table { header: get_header(input, format)?, ..Table::default() };
    table.usages.set_quotas(table.header.quotas.clone());
    for _ in 0..input.count(19)? {
        table.add_session(Value::get(input, format)?, Value::get(input, format)?)?;
    }
    for _ in 0..input.count(3)? {
        let (name, size, until) = (Name::get(input, format)?, input.varint_u32()?, Timestamp(input.varint()?));
        table.remembered_sizes.remember(&name, size, until, u64::MAX);
    }
    if format >= Format::Clusters {
        for _ in 0..input.count(34)? {
            table.add_idempotency_key(Value::get(input, format)?, Value::get(input, format)?)?;
        }
    }
    if format >= Format::Modes {
        for _ in 0..input.count(4)? {
            table.add_mark(Value::get(input, format)?, Value::get(input, format)?)?;
        }
    }
    if format >= Format::History {
        for _ in 0..input.count(15)? {
            table.add_history(Value::get(input, format)?, Value::get(input, format)?)?;
        }
        table.history.restored();
    }
    if format >= Format::Freezes {
        for _ in 0..input.count(7)? {
            table.add_freeze(Value::get(input, format)?, Value::get(input, format)?)?;
        }
        table.freezes.sweep = Value::get(input, format)?;
    }
    let mut kept = table.check_results_of_sessions()?;
    let mut parts = Parts::default();
    for _ in 0..input.count(4)? {
        let (name, mut lock) = (Name::get(input, format)?, Lock::get(input, format)?);
        table.check_counters(&lock)?;
        kept += table.check_results_of_lock(&name, &lock)?;
        parts.note(&name, &lock)?;
        parts.share_terms(&mut lock);
        table.add_lock(name, lock)?;
    }
    input.end()?;
    parts.check()?;
    // A record of something that does not exist would never be removed.
    let is_matched = kept == table.idempotency_keys.live_count();
    if is_matched { Ok(table) } else { Err(DecodeError::Unmatched("an idempotency key")) }
}

fn get_header(input: &mut Decoder, format: Format) -> Result<Header, DecodeError> {
    let mut header = Header {
        now: Timestamp(input.varint()?),
        epoch: get_counter(input)?,
        next_token: input.varint()?,
        next_waiter: get_counter(input)?,
        limits: Value::get(input, format)?,
        ..Header::default()
    };
    if format == Format::SingleNode {
        get_single_node(input, &mut header)?;
        return Ok(header);
    }
    (header.level, header.confirm) = (input.varint_u32()?, input.flag()?);
    if format != Format::of_snapshot(header.level) {
        return Err(DecodeError::Range);
    }
    if format >= Format::EventOrigins {
        header.event_origin = get_counter(input)?;
    }
    if format >= Format::TableIds {
        header.table_id = get_counter(input)?;
    }
    if format >= Format::History {
        header.clock_ms = get_counter(input)?;
    }
    for _ in 0..input.count(21)? {
        if !header.nodes.insert(Value::get(input, format)?, Value::get(input, format)?) {
            return Err(DecodeError::Twice("a node"));
        }
    }
    if format >= Format::Quotas {
        header.quotas = Value::get(input, format)?;
    }
    Ok(header)
}

/// Before there were clusters, the only node was 1, and its store had no id.
fn get_single_node(input: &mut Decoder, header: &mut Header) -> Result<(), DecodeError> {
    header.level = u32::from(header.next_token != 0);
    for at in 0..input.count(2)? {
        let (incarnation, last_sequence) = (Incarnation(input.varint()?), input.varint()?);
        let record = NodeRecord { incarnation, last_sequence, up: true, store: StoreId::UNKNOWN, level: 1 };
        if at == 0 {
            header.nodes.insert(NodeId(1), record);
        }
    }
    Ok(())
}

impl Table {
    fn add_session(&mut self, id: SessionId, session: Session) -> Result<(), DecodeError> {
        // The end of a session ends its idempotency key too: nothing would remove the record later.
        if session.ended && session.idempotency_id.is_some() {
            return Err(DecodeError::Unmatched("an ended session"));
        }
        self.usages.add(session.caller, Usage::SESSION);
        if self.sessions.insert(id, session) { Ok(()) } else { Err(DecodeError::Twice("a session")) }
    }

    fn add_idempotency_key(&mut self, id: IdempotencyId, record: IdempotencyRecord) -> Result<(), DecodeError> {
        let is_new = self.idempotency_keys.insert(id, record, &mut self.usages);
        if is_new { Ok(()) } else { Err(DecodeError::Twice("an idempotency key")) }
    }

    fn add_mark(&mut self, resource: Name, mark: Mark) -> Result<(), DecodeError> {
        if mark.token.0 >= self.header.next_token {
            return Err(DecodeError::Range);
        }
        if self.marks.get(&resource).is_some() {
            return Err(DecodeError::Twice("a mark"));
        }
        self.marks.raise(resource, mark, &mut self.usages);
        Ok(())
    }

    fn add_history(&mut self, name: Name, ring: Ring) -> Result<(), DecodeError> {
        let are_issued = ring.iter().all(|past| past.token.0 < self.header.next_token);
        let are_in_order = ring.iter().map(|past| past.ended).chain([self.header.now]).is_sorted();
        if ring.len() == 0 || !are_issued || !are_in_order {
            return Err(DecodeError::Range);
        }
        let tokens: BTreeSet<Token> = ring.iter().map(|past| past.token).collect();
        if tokens.len() < ring.len() || !self.history.insert(&name, ring) {
            return Err(DecodeError::Twice("an ended hold"));
        }
        Ok(())
    }

    fn add_freeze(&mut self, target: Name, freeze: Freeze) -> Result<(), DecodeError> {
        match self.freezes.insert(target, freeze) {
            None => Ok(()),
            Some(_) => Err(DecodeError::Twice("a freeze")),
        }
    }

    fn add_lock(&mut self, name: Name, lock: Lock) -> Result<(), DecodeError> {
        lock.usages(&name).for_each(|(caller, usage)| self.usages.add_of(&name, caller, usage));
        for hold in lock.holds() {
            hold.owner.session().into_iter().for_each(|session| self.sessions.add_hold(session));
        }
        for (_, waiter) in lock.queue().iter() {
            waiter.owner.session().into_iter().for_each(|session| self.sessions.add_waiter(session));
        }
        if self.locks.insert(name, lock) { Ok(()) } else { Err(DecodeError::Twice("a lock")) }
    }

    /// A token or place at or past the counters would be issued a second time.
    fn check_counters(&self, lock: &Lock) -> Result<(), DecodeError> {
        let are_issued = lock.holds().iter().all(|hold| hold.token.0 < self.header.next_token)
            && lock.queue().iter().all(|(place, _)| place.1.0 < self.header.next_waiter);
        if are_issued { Ok(()) } else { Err(DecodeError::Range) }
    }

    fn check_results_of_lock(&self, name: &Name, lock: &Lock) -> Result<usize, DecodeError> {
        let holds = lock.holds().iter().filter(|hold| hold.is_led_by(name)).filter_map(|hold| {
            Some((hold.idempotency_id()?, IdempotencyResult::Hold { name: name.clone(), token: hold.token }))
        });
        let waiters = lock.queue().iter().filter(|(_, waiter)| waiter.is_led_by(name)).filter_map(|(_, waiter)| {
            Some((waiter.idempotency_id?, IdempotencyResult::Waiter { name: name.clone(), key: waiter.key }))
        });
        self.check_results(holds.chain(waiters))
    }

    fn check_results_of_sessions(&self) -> Result<usize, DecodeError> {
        let results = self.sessions.iter().filter_map(|(id, session)| Some((session.idempotency_id?, *id)));
        self.check_results(results.map(|(key, id)| (key, IdempotencyResult::Session(id))))
    }

    /// A record and its result name each other, or a retry could get a second result. Returns how many there are.
    fn check_results(
        &self,
        mut results: impl Iterator<Item = (IdempotencyId, IdempotencyResult)>,
    ) -> Result<usize, DecodeError> {
        results.try_fold(0, |count, (id, result)| {
            let matches = self.idempotency_keys.get(id).is_some_and(|record| record.result == result);
            if matches { Ok(count + 1) } else { Err(DecodeError::Unmatched("an idempotency key")) }
        })
    }
}

/// A counter that rises by one now and then, and so never comes near its end.
fn get_counter(input: &mut Decoder) -> Result<u64, DecodeError> {
    input.varint().and_then(|value| if value < 1 << 63 { Ok(value) } else { Err(DecodeError::Range) })
}
