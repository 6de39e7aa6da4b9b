//! Plays a script: makes each step concrete against the table as it is, applies it, and shows it to a check.

use super::script::{Asked, Batch, Key, Lead, STRANGER, Shown, Step, Verb, Wanted};
use crate::domain::kit::{session, start};
use latchd::domain::{
    Acquire, Applied, Body, Command, CommandId, Dialect, Entry, Event, HoldKey, Incarnation, LeaderStart, Limits, Name,
    Proof, StaleEpoch, Submitted, Table, Timestamp, Token, Wait,
};
use std::collections::BTreeMap;

/// One entry, just applied.
pub struct Played<'a> {
    pub entry: &'a Entry,
    pub applied: &'a Result<Applied, StaleEpoch>,
    pub table: &'a Table,
}

impl Played<'_> {
    pub fn events(&self) -> &[Event] {
        self.applied.as_ref().map_or(&[], |applied| &applied.events)
    }
}

/// Plays all steps after a first leadership. The whole log comes back.
pub fn play(
    script: &[Step],
    mut check: impl FnMut(&Played) -> Result<(), String>,
) -> Result<(Vec<Entry>, Table), String> {
    let first = Step::Lead(Lead { pass_ms: 0, live: vec![1, 2], tight: false });
    let mut driver = Driver { table: Table::default(), live: Vec::new(), sequences: BTreeMap::new(), keys: Vec::new() };
    let mut log = Vec::new();
    for step in std::iter::once(&first).chain(script) {
        let entry = driver.entry(step);
        let applied = driver.table.apply(entry.clone());
        let played = Played { entry: &entry, applied: &applied, table: &driver.table };
        if let Some(Event::Broken(what)) = played.events().iter().find(|event| matches!(event, Event::Broken(_))) {
            return Err(format!("the table finds itself broken: {what}"));
        }
        check(&played)?;
        log.push(entry);
    }
    Ok((log, driver.table))
}

struct Driver {
    table: Table,
    live: Vec<Incarnation>,
    sequences: BTreeMap<Incarnation, u64>,
    /// Of all acquires so far, with their names.
    keys: Vec<(Name, HoldKey)>,
}

pub fn limits(tight: bool) -> Limits {
    Limits {
        name_bytes_max: 8,
        metadata_entries_max: 1,
        metadata_key_bytes_max: 4,
        metadata_value_bytes_max: 4,
        wait_ms_max: 30,
        lease_ms_max: 30,
        size_max: if tight { 2 } else { 3 },
        waiters_per_lock_max: if tight { 1 } else { 3 },
        holds_max: if tight { 5 } else { 9 },
        sessions_max: if tight { 2 } else { 4 },
        holds_per_session_max: if tight { 2 } else { 4 },
        remembered_sizes_max: if tight { 1 } else { 2 },
        remembered_size_idle_ms: if tight { 5 } else { 25 },
        requests_max: if tight { 2 } else { 5 },
    }
}

impl Driver {
    fn entry(&mut self, step: &Step) -> Entry {
        match step {
            Step::Lead(lead) => {
                self.live = lead.live.iter().take(1).map(|run| Incarnation(u64::from(*run))).collect();
                let start = LeaderStart { limits: limits(lead.tight), ..start(self.live[0]) };
                Entry { at: self.at(lead.pass_ms), epoch: 0, body: Body::LeaderStart(start) }
            }
            Step::Batch(batch) => Entry {
                at: self.at(batch.pass_ms),
                epoch: self.table.epoch() - u64::from(batch.stale),
                body: self.batch(batch),
            },
        }
    }

    fn at(&self, pass_ms: i64) -> Timestamp {
        Timestamp(self.table.now().0.saturating_add_signed(pass_ms))
    }

    fn batch(&mut self, batch: &Batch) -> Body {
        let commands = batch.commands.iter().map(|asked| self.submitted(asked, batch.stale)).collect();
        let touches = batch.touches.iter().map(|number| session(*number)).collect();
        Body::Batch { touches, more_touches: batch.more_touches, commands }
    }

    fn submitted(&mut self, asked: &Asked, stale: bool) -> Submitted {
        let incarnation = match asked.from {
            STRANGER => Incarnation(u64::from(STRANGER)),
            from => self.live[usize::from(from) % self.live.len()],
        };
        let last = self.sequences.entry(incarnation).or_insert(0);
        if !asked.repeated && !stale {
            *last += 1;
        }
        Submitted { id: CommandId { incarnation, sequence: *last }, command: self.command(&asked.verb) }
    }

    fn command(&mut self, verb: &Verb) -> Command {
        match verb {
            Verb::Open { session: number, idle_ms } => {
                Command::OpenSession { session: session(*number), idle_timeout_ms: *idle_ms, request: None }
            }
            Verb::Close { session: number } => Command::CloseSession { session: session(*number) },
            Verb::Acquire(wanted) => Command::Acquire(Box::new(self.acquire(wanted))),
            Verb::Release { name, session: caller, proof } => {
                Command::Release { name: (*name).into(), session: caller.map(session), proof: self.proof(name, proof) }
            }
            Verb::Renew { name, session: caller, key, lease_ms } => Command::Renew {
                name: (*name).into(),
                session: caller.map(session),
                proof: Proof::Key(self.key(name, key)),
                lease_ms: *lease_ms,
            },
            Verb::Cancel { name, key } => Command::Cancel { name: (*name).into(), key: self.key(name, key) },
            Verb::Force { name, key } => Command::ForceRelease { name: (*name).into(), key: self.key(name, key) },
        }
    }

    fn acquire(&mut self, wanted: &Wanted) -> Acquire {
        let fresh = crate::domain::kit::key(100 + self.keys.len() as u64);
        let acquire = Acquire {
            name: wanted.name.into(),
            key: wanted.key.map_or(fresh, one_of_few),
            dialect: Dialect::ALL[usize::from(wanted.dialect)],
            session: wanted.session.map(session),
            label: wanted.label.map(Into::into),
            reentrant: wanted.reentrant,
            size: wanted.size,
            remembers_size: wanted.remembers_size,
            lease_ms: wanted.lease_ms,
            wait: wanted.wait.map(|(detached, timeout_ms)| match detached {
                true => Wait::Detached { timeout_ms },
                false => Wait::Attached { timeout_ms },
            }),
            priority: wanted.priority,
            metadata: wanted.metadata.iter().copied().collect(),
            request: None,
        };
        self.keys.push((acquire.name.clone(), acquire.key));
        acquire
    }

    fn key(&self, name: &str, key: &Key) -> HoldKey {
        let of_hold = |nth: u8| {
            let view = self.table.lock_view(&name.into(), self.table.now())?;
            view.holds.get(usize::from(nth)).map(|hold| hold.key)
        };
        let of_acquire =
            |nth: u8| self.keys.iter().rev().filter(|(of, _)| **of == *name).nth(nth.into()).map(|(_, key)| *key);
        match key {
            Key::OfHold(nth) => of_hold(*nth).unwrap_or(one_of_few(*nth)),
            Key::OfAcquire(nth) => of_acquire(*nth).unwrap_or(one_of_few(*nth)),
            Key::OneOfFew(number) => one_of_few(*number),
        }
    }

    fn proof(&self, name: &str, shown: &Shown) -> Proof {
        match shown {
            Shown::Key(key) => Proof::Key(self.key(name, key)),
            Shown::TakenBy(dialect) => Proof::TakenBy(Dialect::ALL[usize::from(*dialect)]),
            Shown::Label(label, past) => {
                let view = self.table.lock_view(&name.into(), self.table.now());
                let holds = view.map(|view| view.holds).unwrap_or_default();
                let own =
                    holds.iter().find(|hold| hold.label.as_deref() == Some(*label)).map_or(0, |hold| hold.token.0);
                Proof::Label { label: (*label).into(), token: past.map(|past| Token(own + past)) }
            }
        }
    }
}

fn one_of_few(number: u8) -> HoldKey {
    crate::domain::kit::key(u64::from(number))
}
