//! The table and the one function that changes it.

use super::command::{Body, Command, Entry, LeaderStart, Submitted};
use super::cow::CowMap;
use super::ids::{CommandId, Incarnation, Name, SessionId, Token};
use super::index::Index;
use super::limits::Limits;
use super::lock::Lock;
use super::outcome::{Applied, Event, Outcome, Refusal};
use super::remembered::Remembered;
use super::session::Session;
use super::time::Timestamp;
use super::view::Counts;
use std::collections::BTreeMap;

/// The whole state of the service.
#[derive(Default)]
pub struct Table {
    pub(super) now: Timestamp,
    pub(super) epoch: u64,
    /// The next fencing token; 0 in a table that no leader has opened.
    pub(super) next_token: u64,
    pub(super) next_waiter: u64,
    pub(super) limits: Limits,
    /// The live process runs, each with the last sequence applied of it.
    pub(super) origins: BTreeMap<Incarnation, u64>,
    pub(super) locks: CowMap<Name, Lock>,
    pub(super) sessions: CowMap<SessionId, Session>,
    pub(super) remembered: Remembered,
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

/// An entry of another leadership: nothing of it was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the entry belongs to leadership {found}, the table is in {expected}")]
pub struct StaleEpoch {
    pub found: u64,
    pub expected: u64,
}

impl Table {
    /// Applies one log entry. Never panics, whatever the entry says.
    pub fn apply(&mut self, entry: Entry) -> Result<Applied, StaleEpoch> {
        let mut run = Run { events: Vec::new(), budget: BACKLOG_PER_ENTRY };
        let outcomes = match entry.body {
            Body::LeaderStart(start) => {
                self.now = self.now.max(entry.at);
                self.start_leadership(&mut run, start);
                Vec::new()
            }
            Body::Batch { touches, more_touches, commands } => {
                if entry.epoch != self.epoch {
                    return Err(StaleEpoch { found: entry.epoch, expected: self.epoch });
                }
                self.now = self.now.max(entry.at);
                touches.into_iter().for_each(|session| self.touch_session(session));
                self.touch_callers(&commands);
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
        }
    }

    fn start_leadership(&mut self, run: &mut Run, start: LeaderStart) {
        self.epoch += 1;
        if self.next_token == 0 {
            self.next_token = start.first_token.max(1);
        }
        self.limits = start.limits;
        let origins = std::mem::take(&mut self.origins);
        self.origins = start.live.into_iter().map(|run| (run, origins.get(&run).copied().unwrap_or(0))).collect();
        self.touch_all_sessions();
        self.drop_waiters_of_dead_processes(run);
    }

    /// Every session that a command carries was seen: extended before anything is judged due.
    fn touch_callers(&mut self, commands: &[Submitted]) {
        commands.iter().filter_map(|submitted| submitted.command.session()).for_each(|id| self.touch_session(id));
    }

    fn run(&mut self, run: &mut Run, submitted: Submitted) -> (CommandId, Outcome) {
        let Submitted { id, command } = submitted;
        (id, self.run_once(run, id, command))
    }

    fn run_once(&mut self, run: &mut Run, id: CommandId, command: Command) -> Outcome {
        match self.origins.get_mut(&id.incarnation) {
            None => return Outcome::Refused(Refusal::UnknownOrigin),
            Some(last) if id.sequence <= *last => return Outcome::Duplicate,
            Some(last) => *last = id.sequence,
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
            Command::OpenSession { session, idle_timeout_ms } => self.open_session(session, idle_timeout_ms),
            Command::CloseSession { session } => self.close_session(run, session),
            Command::Acquire(acquire) => self.acquire(run, id, *acquire),
            Command::Release { name, proof, .. } => self.release(run, &name, &proof),
            Command::Renew { name, key, lease_ms, .. } => self.renew(&name, key, lease_ms),
            Command::Cancel { name, key } => self.cancel(run, &name, key),
            Command::ForceRelease { name, key } => self.force_release(run, &name, key),
        }
    }
}
