//! Plays a script: makes each step concrete for the present table, applies it, and passes it to a check.

use super::script::{Asked, Batch, Key, Lead, Shown, Step, Verb, Wanted};
use crate::domain::kit::{self, FIRST_TOKEN, session, store};
use latchd::domain::{
    Acquire, Applied, Body, Caller, Command, CommandId, Dialect, Entry, Event, HoldKey, Incarnation, LeaderStart,
    Limits, Name, NodeId, ORPHAN_MS, Proof, StaleEpoch, Submitted, Table, Timestamp, Token, Wait,
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

/// Plays all steps and returns the whole log.
pub fn play(
    script: &[Step],
    mut check: impl FnMut(&Played) -> Result<(), String>,
) -> Result<(Vec<Entry>, Table), String> {
    let mut driver = Driver::default();
    let mut log = Vec::new();
    for step in script {
        let entry = driver.entry(step);
        let applied = driver.table.apply(entry.clone());
        let played = Played { entry: &entry, applied: &applied, table: &driver.table };
        if let Some(Event::Broken(what)) = played.events().iter().find(|event| matches!(event, Event::Broken(_))) {
            return Err(format!("the table reports a broken invariant: {what}"));
        }
        check(&played)?;
        log.push(entry);
    }
    Ok((log, driver.table))
}

#[derive(Default)]
struct Driver {
    table: Table,
    /// How often each node's process was started.
    starts: BTreeMap<u8, u64>,
    sequences: BTreeMap<Incarnation, u64>,
    /// The keys of all acquires so far, with the names of their locks.
    keys: Vec<(Name, HoldKey)>,
}

pub fn limits(tight: bool) -> Limits {
    Limits {
        name_bytes_max: 8,
        metadata_entries_max: 1,
        metadata_key_bytes_max: 4,
        metadata_value_bytes_max: 4,
        wait_ms_max: 6 * ORPHAN_MS,
        lease_ms_max: 6 * ORPHAN_MS,
        size_max: if tight { 2 } else { 3 },
        waiters_per_lock_max: if tight { 1 } else { 3 },
        holds_max: if tight { 5 } else { 9 },
        sessions_max: if tight { 2 } else { 4 },
        holds_per_session_max: if tight { 2 } else { 4 },
        remembered_sizes_max: if tight { 1 } else { 2 },
        remembered_size_idle_ms: if tight { 5 } else { 25 },
        requests_max: if tight { 2 } else { 3 },
        table_bytes_max: 0,
        credential_share: 0,
        address_share: 0,
        names_max: 3,
        lock_delay_ms_max: 60,
        value_bytes_max: 4,
        election_reliable_ms: 7,
        deadlock_search_max: 1_000,
        marks_max: if tight { 1 } else { 2 },
        mark_idle_ms: 40,
    }
}

impl Driver {
    fn entry(&mut self, step: &Step) -> Entry {
        match step {
            Step::Lead(lead) => {
                let at = self.at(lead.pass_ms);
                Entry { at, epoch: 0, body: Body::LeaderStart(self.leader_start(lead)) }
            }
            Step::Batch(batch) => Entry {
                at: self.at(batch.pass_ms),
                epoch: self.table.epoch() - u64::from(batch.stale),
                body: self.batch(batch),
            },
        }
    }

    fn leader_start(&mut self, lead: &Lead) -> LeaderStart {
        let incarnation = self.run_of(lead.node, lead.restarted, false);
        LeaderStart {
            first_token: FIRST_TOKEN,
            limits: limits(lead.tight),
            node: NodeId(lead.node.into()),
            incarnation,
            store: store(lead.node),
            level: lead.level,
            confirm: lead.confirm,
        }
    }

    /// Each incarnation of each node has its own number.
    fn run_of(&mut self, node: u8, restarted: bool, belated: bool) -> Incarnation {
        let starts = self.starts.entry(node).or_insert(1);
        *starts += u64::from(restarted);
        Incarnation(u64::from(node) * 1_000 + *starts - u64::from(belated))
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
        let incarnation = self.run_of(asked.from, false, asked.belated);
        let last = self.sequences.entry(incarnation).or_insert(0);
        if !asked.repeated && !stale {
            *last += 1;
        }
        Submitted { id: CommandId { incarnation, sequence: *last }, command: self.command(&asked.verb) }
    }

    fn command(&mut self, verb: &Verb) -> Command {
        match verb {
            Verb::Open { session: number, idle_ms, request, by } => Command::OpenSession {
                session: session(*number),
                idle_timeout_ms: *idle_ms,
                idempotency_key: request.map(|(id, body)| kit::request(id, body)),
                caller: caller(*by),
            },
            Verb::Close { session: number } => Command::CloseSession { session: session(*number) },
            Verb::Acquire(wanted) => Command::Acquire(Box::new(self.acquire(wanted))),
            Verb::Release { name, session: caller, proof } => {
                Command::Release { name: (*name).into(), session: caller.map(session), proof: self.proof(name, proof) }
            }
            Verb::Renew { name, session: caller, proof, lease_ms } => Command::Renew {
                name: (*name).into(),
                session: caller.map(session),
                proof: self.proof(name, proof),
                lease_ms: *lease_ms,
            },
            Verb::Cancel { name, key } => Command::Cancel { name: (*name).into(), key: self.key(name, key) },
            Verb::Force { name, key } => Command::ForceRelease { name: (*name).into(), key: self.key(name, key) },
            Verb::Confirm { name, key } => Command::ConfirmDelivery { name: (*name).into(), key: self.key(name, key) },
            Verb::CancelWait { name, label } => Command::CancelWait { name: (*name).into(), label: (*label).into() },
            verb => self.command_of_leader(verb),
        }
    }

    fn command_of_leader(&mut self, verb: &Verb) -> Command {
        let id = |node: &u8| NodeId(u64::from(*node));
        match verb {
            Verb::Up { node, restarted, store: number, level } => Command::NodeUp {
                node: id(node),
                incarnation: self.run_of(*node, *restarted, false),
                store: store(*number),
                level: *level,
            },
            Verb::Down { node, belated } => {
                Command::NodeDown { node: id(node), incarnation: self.run_of(*node, false, *belated) }
            }
            Verb::Forget { node } => Command::ForgetNode { node: id(node) },
            Verb::Raise { level } => Command::RaiseLevel { level: *level, limits: None },
            verb => unreachable!("{verb:?} is a client's"),
        }
    }

    fn acquire(&mut self, wanted: &Wanted) -> Acquire {
        let fresh = kit::key(100 + self.keys.len() as u64);
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
            idempotency_key: wanted.request.map(|(id, body)| kit::request(id, body)),
            caller: caller(wanted.by),
            terms: None,
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

fn caller((credential, address): (u8, u8)) -> Caller {
    kit::caller(credential.into(), address.into())
}

fn one_of_few(number: u8) -> HoldKey {
    kit::key(u64::from(number))
}
