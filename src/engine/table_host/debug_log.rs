//! Logs what happens to locks and sessions at `debug`, as this node applies it.
//!
//! Each node logs all of it, and again after a start what it applies again. Lines name sessions by their handles and holds
//! by their fencing tokens.

use crate::domain::{
    Acquire, Applied, Body, Command, CommandId, Dialect, Entry, Event, Freeze, Name, Outcome, Refusal, SessionId,
    WaitEnd,
};
use std::collections::BTreeMap;

/// Waits whose lock names are kept, only so that a line can name them.
const WAITS_MAX: usize = 10_000;

/// What the lines need of earlier commands and waits.
#[derive(Default)]
pub struct DebugLog {
    acquires: BTreeMap<CommandId, AcquireLine>,
    waits: BTreeMap<CommandId, Name>,
}

struct AcquireLine {
    name: Name,
    dialect: Dialect,
    session: Option<SessionId>,
}

impl DebugLog {
    /// Reads an entry that is about to be applied.
    pub fn read(&mut self, entry: &Entry) {
        self.acquires.clear();
        if let (true, Body::Batch { commands, .. }) = (is_enabled(), &entry.body) {
            for submitted in commands {
                if let Command::Acquire(acquire) = &submitted.command {
                    self.acquires.insert(submitted.id, AcquireLine::from(&**acquire));
                }
            }
        }
    }

    pub fn log(&mut self, applied: &Applied) {
        if is_enabled() {
            applied.outcomes.iter().for_each(|(id, outcome)| self.log_outcome(*id, outcome));
            applied.events.iter().for_each(|event| self.log_event(event));
        }
    }

    fn log_outcome(&mut self, id: CommandId, outcome: &Outcome) {
        match (outcome, self.acquires.get(&id)) {
            (Outcome::SessionOpened { session }, _) => {
                let session = session.handle();
                tracing::debug!(session, "session {session} is open");
            }
            (Outcome::Waiting { position } | Outcome::Enqueued { position }, Some(acquire)) => {
                let AcquireLine { name, dialect, session } = acquire;
                let session = session.map(SessionId::handle);
                tracing::debug!(lock = ?name, position, ?dialect, session, "a request waits for {name:?}, behind {position}");
                if self.waits.len() >= WAITS_MAX {
                    self.waits.pop_first();
                }
                self.waits.insert(id, name.clone());
            }
            (Outcome::Refused(refusal), Some(acquire)) => log_not_granted(acquire, refusal),
            _ => {}
        }
    }

    fn log_event(&mut self, event: &Event) {
        match event {
            Event::Granted { name, token, session, dialect, .. } => {
                let (token, session) = (token.0, session.map(SessionId::handle));
                tracing::debug!(lock = ?name, token, ?dialect, session, "{name:?} is granted under token {token}");
            }
            Event::HoldEnded { name, token, why, session, dialect, .. } => {
                let (token, session, why) = (token.0, session.map(SessionId::handle), why.phrase());
                tracing::debug!(lock = ?name, token, why, ?dialect, session, "the hold {token} of {name:?} has ended: {why}");
            }
            Event::ValueChanged { name, token, session, dialect, .. } => {
                let (token, session) = (token.0, session.map(SessionId::handle));
                tracing::debug!(lock = ?name, token, ?dialect, session, "the leader {token} of {name:?} has another value");
            }
            Event::WaiterGranted { command, .. } => drop(self.waits.remove(command)),
            Event::WaiterEnded { command, why, .. } => {
                let (name, why) = (self.waits.remove(command), end_of_wait(*why));
                match name {
                    Some(name) => tracing::debug!(lock = ?name, why, "a wait for {name:?} has ended: {why}"),
                    None => tracing::debug!(why, "a wait has ended: {why}"),
                }
            }
            Event::SessionEnded { session, idle } => {
                let (session, why) = (session.handle(), if *idle { "nothing was heard of it" } else { "closed" });
                tracing::debug!(session, why, "session {session} has ended: {why}");
            }
            Event::Frozen { target, freeze } => log_freeze(target, freeze, "begins"),
            Event::Thawed { target, freeze, .. } => log_freeze(target, freeze, "has ended"),
            // Counted, and a defect is logged there as an error.
            Event::Broken(_) | Event::DeadlockSearchCut => {}
        }
    }
}

/// The reason is for people who are refused, and not for each node's log.
fn log_freeze(target: &Name, freeze: &Freeze, what: &str) {
    let covers = freeze.covers.shown(target);
    tracing::debug!(?target, covers, "the freeze of the {covers} {target:?} {what}");
}

/// Logs a refusal that has no entry.
pub fn log_refused(acquire: &Acquire, refusal: &Refusal) {
    if is_enabled() {
        log_not_granted(&AcquireLine::from(acquire), refusal);
    }
}

fn log_not_granted(AcquireLine { name, dialect, session }: &AcquireLine, refusal: &Refusal) {
    let (session, why) = (session.map(SessionId::handle), text_of(refusal));
    tracing::debug!(lock = ?name, why, ?dialect, session, "{name:?} is not granted: {why}");
}

impl From<&Acquire> for AcquireLine {
    fn from(acquire: &Acquire) -> AcquireLine {
        AcquireLine { name: acquire.name.clone(), dialect: acquire.dialect, session: acquire.session }
    }
}

fn is_enabled() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

/// Leaves out the metadata of a holder.
fn text_of(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Held(held) => format!("held, {} wait", held.waiters),
        Refusal::Frozen(by) => format!("the {} {:?} is frozen", by.covers.shown(&by.target), by.target),
        other => format!("{other:?}"),
    }
}

fn end_of_wait(why: WaitEnd) -> &'static str {
    match why {
        WaitEnd::TimedOut => "timed out",
        WaitEnd::Cancelled => "given up",
        WaitEnd::Dropped => "given up, or dropped by an operator",
        WaitEnd::SessionEnded => "its session has ended",
        WaitEnd::HoldEnded => "its hold has ended",
    }
}
