//! The table and the one function that changes it.

use super::command::{Body, Command, Entry, LeaderStart, Submitted};
use super::cow::CowMap;
use super::idempotency::RequestRecord;
use super::ids::{CommandId, Name, NodeId, RequestId, SessionId, Token};
use super::index::Index;
use super::limits::Limits;
use super::lock::Lock;
use super::nodes::NodeRecord;
use super::outcome::{Applied, Event, Outcome, Refusal};
use super::remembered::Remembered;
use super::session::Session;
use super::time::Timestamp;
use super::view::Counts;
use crate::mutants;
use std::collections::BTreeMap;

/// The whole state of the service.
#[derive(Default)]
pub struct Table {
    pub(super) now: Timestamp,
    pub(super) epoch: u64,
    /// The next fencing token; 0 in a table that no leader has opened.
    pub(super) next_token: u64,
    pub(super) next_waiter: u64,
    /// What event ids add to the index of their entry.
    pub(super) origin: u64,
    /// Random, given when the table was opened; 0 in older tables.
    pub(super) life: u64,
    pub(super) limits: Limits,
    /// What apply may do; see `nodes`.
    pub(super) level: u32,
    /// Grants to waiters stay unconfirmed until their node says that it can answer.
    pub(super) confirm: bool,
    pub(super) nodes: BTreeMap<NodeId, NodeRecord>,
    pub(super) locks: CowMap<Name, Lock>,
    pub(super) sessions: CowMap<SessionId, Session>,
    pub(super) remembered: Remembered,
    pub(super) requests: CowMap<RequestId, RequestRecord>,
    pub(super) index: Index,
}

/// What one entry gathers while it is applied.
pub(super) struct Run {
    pub events: Vec<Event>,
    /// How much more of what is due may be worked off besides the commands.
    pub budget: u32,
}

/// Work on due leases, waits and ended sessions per entry: bounds how long a burst delays a grant.
const BACKLOG_PER_ENTRY: u32 = 1024;

/// A later leadership moves tokens up only below this, half of all: a wrong clock must not use up what is left. It is
/// the year 2109.
const RAISED_TOKEN_END: u64 = Token::END / 2;

/// 48 bits.
const LIFE_MASK: u64 = (1 << 48) - 1;

/// An entry of another leadership: nothing of it was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the entry belongs to leadership {found}, the table is in {expected}")]
pub struct StaleEpoch {
    pub found: u64,
    pub expected: u64,
}

impl Table {
    /// Applies one log entry, at the beginning of a log. Never panics, whatever the entry says.
    pub fn apply(&mut self, entry: Entry) -> Result<Applied, StaleEpoch> {
        self.apply_at(0, entry)
    }

    /// Applies the log entry at this index.
    pub fn apply_at(&mut self, index: u64, entry: Entry) -> Result<Applied, StaleEpoch> {
        let mut run = Run { events: Vec::new(), budget: BACKLOG_PER_ENTRY };
        let outcomes = match entry.body {
            Body::LeaderStart(start) => {
                self.now = self.now.max(entry.at);
                self.start_leadership(&mut run, index, start);
                Vec::new()
            }
            Body::Batch { touches, more_touches, commands } => {
                if entry.epoch != self.epoch && !mutants::on("stale-epoch-applied") {
                    return Err(StaleEpoch { found: entry.epoch, expected: self.epoch });
                }
                self.now = self.now.max(entry.at);
                let heard = touches.into_iter().filter(|_| !mutants::on("touches-forgotten"));
                heard.for_each(|session| self.touch_session(session));
                self.touch_callers(&commands);
                run.events.reserve(commands.len());
                self.expire_due(&mut run, !more_touches);
                let outcomes = commands.into_iter().map(|submitted| self.run(&mut run, submitted)).collect();
                self.sweep(&mut run);
                outcomes
            }
        };
        Ok(Applied { outcomes, events: run.events })
    }

    /// The leadership whose entries are accepted; its batches must carry it.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where the ids of events begin: added to the index of their entry, so that no id of a service whose data was lost
    /// fits into the log of the one that begins in its place. Tokens begin there for the same reason.
    pub fn event_origin(&self) -> u64 {
        self.origin
    }

    /// What tells this table from every other, in the ids of its events: one that begins anew has another.
    pub fn table_id(&self) -> u64 {
        self.life
    }

    /// The last token given.
    pub fn last_token(&self) -> Token {
        Token(self.next_token.saturating_sub(1))
    }

    pub fn counts(&self) -> Counts {
        Counts {
            locks: self.locks.len() as u64,
            holds: self.index.hold_count,
            waiters: self.index.waiter_count(),
            sessions: (self.sessions.len() - self.index.ended_sessions.len()) as u64,
            remembered_sizes: self.remembered.len() as u64,
            requests: self.requests.len() as u64,
        }
    }

    fn start_leadership(&mut self, run: &mut Run, index: u64, start: LeaderStart) {
        self.epoch += 1;
        if self.level == 0 {
            self.level = start.level;
        }
        if self.next_token == 0 {
            self.next_token = start.first_token.max(1);
            self.origin = if self.knows_origins() { start.first_token.min(Token::END) } else { 0 };
            self.life = if self.knows_lives() { life_of(start.incarnation.0) } else { 0 };
        } else if self.raises_tokens() {
            self.raise_tokens(index, start.first_token);
        }
        let limits = if self.knows_callers() { start.limits } else { start.limits.without_shares() };
        (self.limits, self.confirm) = (limits, start.confirm);
        self.touch_all_sessions();
        self.record_leader(run, start.node, start.incarnation, start.store, start.level);
    }

    /// The log may have lost its end, and with it tokens and event ids that were given: neither is given again.
    fn raise_tokens(&mut self, index: u64, first_token: u64) {
        if first_token < RAISED_TOKEN_END {
            self.next_token = self.next_token.max(first_token);
            self.origin = self.origin.max(first_token.saturating_sub(index));
        }
    }

    /// Every session that a command carries was seen: extended before anything is judged due.
    fn touch_callers(&mut self, commands: &[Submitted]) {
        commands.iter().filter_map(|submitted| submitted.command.session()).for_each(|id| self.touch_session(id));
    }

    fn run(&mut self, run: &mut Run, submitted: Submitted) -> (CommandId, Outcome) {
        let Submitted { id, command } = submitted;
        (id, self.run_once(run, id, command))
    }

    fn run_once(&mut self, run: &mut Run, id: CommandId, mut command: Command) -> Outcome {
        if let Err(outcome) = self.admit(id) {
            return outcome;
        }
        if !self.knows_callers() {
            command.forget_caller();
        }
        if let Some(session) = command.session()
            && !self.is_live(session)
        {
            return Outcome::Refused(Refusal::SessionUnknown);
        }
        if let Some(name) = command.name() {
            self.settle(run, &name.clone());
        }
        match command {
            Command::OpenSession { session, idle_timeout_ms, idempotency_key, caller } => {
                self.open_session(session, idle_timeout_ms, idempotency_key, caller)
            }
            Command::CloseSession { session } => self.close_session(run, session),
            Command::Acquire(acquire) => self.acquire(run, id, *acquire),
            Command::Release { name, proof, .. } => self.release(run, &name, &proof),
            Command::Renew { name, proof, lease_ms, .. } => self.renew(&name, &proof, lease_ms),
            Command::Cancel { name, key } => self.cancel(run, &name, key),
            Command::ForceRelease { name, key } => self.force_release(run, &name, key),
            Command::ConfirmDelivery { name, key } => self.confirm_delivery(&name, key),
            Command::CancelWait { name, label } => self.cancel_wait(run, &name, &label),
            Command::NodeUp { node, incarnation, store, level } => self.node_up(run, node, incarnation, store, level),
            Command::NodeDown { node, incarnation } => self.node_down(run, node, incarnation),
            Command::ForgetNode { node } => self.forget_node(run, node),
            Command::RaiseLevel { level } => self.raise_level(level),
        }
    }
}

/// From a random number, of which not all is shown to everybody.
pub(super) fn life_of(random: u64) -> u64 {
    (random & LIFE_MASK).max(1)
}
