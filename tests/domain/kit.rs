//! A table with a leader and a clock that tests control, and short names for commands.

pub use super::fuzzed::limits;
use latchd::domain::{
    Acquire, Applied, Body, BodyDigest, Caller, Command, CommandId, Dialect, EndReason, Entry, Event, FEATURE_LEVEL,
    Grant, HoldKey, IdempotencyId, IdempotencyKey, Incarnation, LeaderStart, Limits, Name, NodeId, Outcome, Proof,
    Refusal, SHARED, SessionId, StoreId, Submitted, Table, Terms, Timestamp, Token, Upgrade, Wait,
};
use std::sync::Arc;

/// The first token of every table in these tests.
pub const FIRST_TOKEN: u64 = 1_000;
/// The incarnation whose commands a [`Bench`] submits.
pub const RUN: Incarnation = Incarnation(1);
/// The incarnation of the other node of a [`Bench::cluster`].
pub const RUN_OF_2: Incarnation = Incarnation(2);
/// Enough entries to expire everything that a test accumulates.
const ENTRIES_TO_EXPIRE_ALL: usize = 64;

pub struct Bench {
    pub table: Table,
    at: u64,
    run: Incarnation,
    sequence: u64,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with_limits(|_| {})
    }

    pub fn with_limits(edit: impl FnOnce(&mut Limits)) -> Bench {
        let mut limits = limits();
        edit(&mut limits);
        Bench::started(LeaderStart { limits, ..start(RUN) })
    }

    pub fn started(start: LeaderStart) -> Bench {
        let mut bench = Bench { table: Table::default(), at: 0, run: start.incarnation, sequence: 0 };
        bench.lead(start);
        bench
    }

    /// A cluster, as far as the table knows: grants to waiters need confirmation, and node 2 is up.
    pub fn cluster() -> Bench {
        let mut bench = Bench::started(LeaderStart { confirm: true, ..start(RUN) });
        bench.outcome(node_up(2, RUN_OF_2));
        bench
    }

    /// From here on commands come from this incarnation.
    pub fn from(&mut self, run: Incarnation) -> &mut Bench {
        self.run = run;
        self
    }

    /// Starts a leadership.
    pub fn lead(&mut self, start: LeaderStart) -> Vec<Event> {
        let entry = Entry { at: Timestamp(self.at), epoch: 0, body: Body::LeaderStart(start) };
        self.table.apply(entry).expect("a leadership is always accepted").events
    }

    /// Starts a leadership of node 1 with the same limits, in this incarnation.
    pub fn lead_with(&mut self, run: Incarnation) -> Vec<Event> {
        let (limits, confirm) = (*self.table.limits(), self.table.confirms_deliveries());
        self.lead(LeaderStart { first_token: 1, limits, confirm, ..start(run) })
    }

    /// Lets time pass; the next entry brings it into the table.
    pub fn pass_ms(&mut self, ms: u64) -> &mut Bench {
        self.at += ms;
        self
    }

    pub fn submit(&mut self, touches: Vec<SessionId>, more_touches: bool, commands: Vec<Submitted>) -> Applied {
        let body = Body::Batch { touches, more_touches, commands };
        let entry = Entry { at: Timestamp(self.at), epoch: self.table.epoch(), body };
        let applied = self.table.apply(entry).expect("the epoch is the table's own");
        let broken = applied.events.iter().find(|event| matches!(event, Event::Broken(_)));
        assert_eq!(broken, None, "the table reports a broken invariant");
        applied
    }

    /// One entry with these commands.
    pub fn batch(&mut self, commands: Vec<Command>) -> Applied {
        let commands = commands.into_iter().map(|command| self.submitted(command)).collect();
        self.submit(Vec::new(), false, commands)
    }

    /// One entry with one command.
    pub fn run(&mut self, command: impl IntoCommand) -> (Outcome, Vec<Event>) {
        let mut applied = self.batch(vec![command.into_command()]);
        assert_eq!(applied.outcomes.len(), 1);
        (applied.outcomes.remove(0).1, applied.events)
    }

    /// An entry without commands.
    pub fn tick(&mut self) -> Vec<Event> {
        self.submit(Vec::new(), false, Vec::new()).events
    }

    /// Ticks until nothing is due any more.
    pub fn expire_all(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..ENTRIES_TO_EXPIRE_ALL {
            events.extend(self.tick());
            if self.table.next_deadline().is_none_or(|deadline| !deadline.is_past(self.table.now())) {
                return events;
            }
        }
        panic!("still something due after {ENTRIES_TO_EXPIRE_ALL} entries");
    }

    pub fn submitted(&mut self, command: Command) -> Submitted {
        self.sequence += 1;
        Submitted { id: self.last_id(), command }
    }

    /// The id of the command submitted last.
    pub fn last_id(&self) -> CommandId {
        CommandId { incarnation: self.run, sequence: self.sequence }
    }

    pub fn outcome(&mut self, command: impl IntoCommand) -> Outcome {
        self.run(command).0
    }

    pub fn acquired(&mut self, acquire: Acquire) -> Grant {
        match self.outcome(acquire) {
            Outcome::Acquired(grant) => grant,
            other => panic!("not acquired: {other:?}"),
        }
    }

    /// Waits in the queue. Returns the id that the event of the wait's end will name.
    pub fn queued(&mut self, command: impl IntoCommand) -> CommandId {
        let outcome = self.outcome(command);
        assert!(matches!(outcome, Outcome::Waiting { .. } | Outcome::Enqueued { .. }), "not queued: {outcome:?}");
        self.last_id()
    }

    pub fn refused(&mut self, command: impl IntoCommand) -> Refusal {
        match self.outcome(command) {
            Outcome::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    pub fn open(&mut self, id: u8, idle_timeout_ms: u64) {
        assert_eq!(self.outcome(open(id, idle_timeout_ms)), Outcome::SessionOpened { session: session(id) });
    }

    /// The numbers of live holds and waiters of a lock.
    pub fn seen(&self, lock: &str) -> (usize, u32) {
        let view = self.table.lock_view(&name(lock), self.table.now());
        view.map_or((0, 0), |view| (view.holds.len(), view.waiters))
    }

    pub fn snapshot(&self) -> Vec<u8> {
        snapshot(&self.table)
    }
}

/// The grants to waiting requests, and whether they need confirmation.
pub fn granted(events: &[Event]) -> Vec<(CommandId, bool)> {
    let granted = events.iter().filter_map(|event| match event {
        Event::WaiterGranted { command, unconfirmed, .. } => Some((*command, *unconfirmed)),
        _ => None,
    });
    granted.collect()
}

/// The holds that ended, and why.
pub fn ended(events: &[Event]) -> Vec<(Token, EndReason)> {
    let ended = events.iter().filter_map(|event| match event {
        Event::HoldEnded { token, why, .. } => Some((*token, *why)),
        _ => None,
    });
    ended.collect()
}

pub fn snapshot(table: &Table) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.freeze().write_to(&mut bytes).expect("a vector can grow");
    bytes
}

/// A leadership of node 1, in this incarnation.
pub fn start(run: Incarnation) -> LeaderStart {
    LeaderStart {
        first_token: FIRST_TOKEN,
        limits: limits(),
        node: NodeId(1),
        incarnation: run,
        store: store(1),
        level: FEATURE_LEVEL,
        confirm: false,
        quotas: None,
    }
}

pub fn name(text: &str) -> Name {
    Name::from(text)
}

pub fn key(number: u64) -> HoldKey {
    HoldKey(u128::from(number).to_be_bytes())
}

pub fn session(number: u8) -> SessionId {
    SessionId([number; 16])
}

/// The data directory of a node.
pub fn store(number: u8) -> StoreId {
    StoreId([number; 16])
}

/// An idempotency key, and what was asked under it.
pub fn request(id: u8, body: u8) -> IdempotencyKey {
    IdempotencyKey { id: IdempotencyId([id; 16]), body: BodyDigest([body; 16]) }
}

/// Asks for size 1, without lease, session or wait; [`Asking`] adds to it.
pub fn ask(lock: &str, key_number: u64) -> Acquire {
    Acquire::new(name(lock), key(key_number), Dialect::DoubleDutch)
}

/// Builder methods for an acquire.
pub trait Asking: Sized {
    fn edit(self, edit: impl FnOnce(&mut Acquire)) -> Self;

    fn size(self, size: u32) -> Self {
        self.edit(|ask| ask.size = size)
    }
    fn shared(self) -> Self {
        self.size(SHARED)
    }
    /// All of these names, each with its size, or none.
    fn names(self, names: &[(&str, u32)]) -> Self {
        let names: Vec<(Name, u32)> = names.iter().map(|(name, size)| ((*name).into(), *size)).collect();
        let size = names[0].1;
        self.size(size).terms(|terms| terms.names = names)
    }
    fn terms(self, change: impl FnOnce(&mut Terms)) -> Self {
        self.edit(|ask| {
            let mut terms = ask.terms.take().map_or_else(Terms::default, |terms| (*terms).clone());
            change(&mut terms);
            ask.terms = Some(Arc::new(terms));
        })
    }
    /// Refused if the wait would be part of a deadlock.
    fn guarded_ms(self, timeout_ms: u64) -> Self {
        self.edit(|ask| ask.wait = Some(Wait::Guarded { timeout_ms }))
    }
    /// As LDLM's clients acquire: the size is binding and remembered.
    fn ldlm(self, size: u32) -> Self {
        self.size(size).edit(|ask| (ask.remembers_size, ask.dialect) = (true, Dialect::LdlmRest))
    }
    fn dialect(self, dialect: Dialect) -> Self {
        self.edit(|ask| ask.dialect = dialect)
    }
    fn lease_ms(self, lease_ms: u64) -> Self {
        self.edit(|ask| ask.lease_ms = Some(lease_ms))
    }
    fn wait_ms(self, timeout_ms: u64) -> Self {
        self.edit(|ask| ask.wait = Some(Wait::Attached { timeout_ms }))
    }
    fn detached_ms(self, timeout_ms: u64) -> Self {
        self.edit(|ask| ask.wait = Some(Wait::Detached { timeout_ms }))
    }
    fn session(self, number: u8) -> Self {
        self.edit(|ask| ask.session = Some(session(number)))
    }
    fn label(self, label: &str) -> Self {
        self.edit(|ask| ask.label = Some(label.into()))
    }
    /// The same label keeps its hold when it acquires again.
    fn reentrant(self, label: &str) -> Self {
        self.label(label).edit(|ask| ask.reentrant = true)
    }
    fn priority(self, priority: i32) -> Self {
        self.edit(|ask| ask.priority = priority)
    }
    /// Under this idempotency key, always with the same body.
    fn request(self, id: u8) -> Self {
        self.edit(|ask| ask.idempotency_key = Some(request(id, 0)))
    }
    /// As this caller.
    fn by(self, caller: Caller) -> Self {
        self.edit(|ask| ask.caller = caller)
    }
    fn metadata(self, pairs: &[(&str, &str)]) -> Self {
        self.edit(|ask| ask.metadata = pairs.iter().copied().collect())
    }
}

impl Asking for Acquire {
    fn edit(mut self, edit: impl FnOnce(&mut Acquire)) -> Acquire {
        edit(&mut self);
        self
    }
}

pub fn acquire(acquire: Acquire) -> Command {
    Command::Acquire(Box::new(acquire))
}

pub fn release(lock: &str, key_number: u64) -> Command {
    Command::Release { name: name(lock), session: None, proof: Proof::Key(key(key_number)) }
}

/// Releases a hold of several names.
pub fn release_names(names: &[&str], key_number: u64) -> Command {
    let all = names.iter().map(|name| Name::from(*name)).collect();
    let proof = Proof::OfNames { key: key(key_number), names: all };
    Command::Release { name: name(names[0]), session: None, proof }
}

/// Asks that the hold with the first key becomes exclusive; the second one is that of the wait.
pub fn upgrade(lock: &str, key_number: u64, attempt: u64, wait_ms: Option<u64>) -> Command {
    let wait = wait_ms.map(|timeout_ms| Wait::Guarded { timeout_ms });
    let (key, attempt) = (key(key_number), key(attempt));
    Command::Upgrade(Box::new(Upgrade { name: name(lock), session: None, key, attempt, wait, caller: Caller::NOBODY }))
}

pub fn downgrade(lock: &str, key_number: u64) -> Command {
    Command::Downgrade { name: name(lock), session: None, key: key(key_number) }
}

pub fn renew(lock: &str, key_number: u64, lease_ms: u64) -> Command {
    Command::Renew { name: name(lock), session: None, proof: Proof::Key(key(key_number)), lease_ms }
}

pub fn confirm(lock: &str, key_number: u64) -> Command {
    Command::ConfirmDelivery { name: name(lock), key: key(key_number) }
}

pub fn cancel_wait(lock: &str, label: &str) -> Command {
    Command::CancelWait { name: name(lock), label: label.into() }
}

pub fn node_up(node: u8, run: Incarnation) -> Command {
    Command::NodeUp { node: NodeId(node.into()), incarnation: run, store: store(node), level: FEATURE_LEVEL }
}

pub fn node_down(node: u8, run: Incarnation) -> Command {
    Command::NodeDown { node: NodeId(node.into()), incarnation: run }
}

pub fn open(number: u8, idle_timeout_ms: u64) -> Command {
    Command::OpenSession { session: session(number), idle_timeout_ms, idempotency_key: None, caller: Caller::NOBODY }
}

/// A caller with this credential and address.
pub fn caller(credential: u64, address: u64) -> Caller {
    Caller { credential, address }
}

/// Opens a session as this caller.
pub fn open_as(number: u8, caller: Caller) -> Command {
    Command::OpenSession { session: session(number), idle_timeout_ms: 600_000, idempotency_key: None, caller }
}

pub fn cancel(lock: &str, key_number: u64) -> Command {
    Command::Cancel { name: name(lock), key: key(key_number) }
}

pub fn force(lock: &str, key_number: u64) -> Command {
    Command::ForceRelease { name: name(lock), key: key(key_number), force: None }
}

pub fn close(number: u8) -> Command {
    Command::CloseSession { session: session(number), force: None }
}

/// An acquire counts as a command.
pub trait IntoCommand {
    fn into_command(self) -> Command;
}

impl IntoCommand for Command {
    fn into_command(self) -> Command {
        self
    }
}

impl IntoCommand for Acquire {
    fn into_command(self) -> Command {
        acquire(self)
    }
}
