//! What happens to locks and sessions, told line by line at `debug`, as this node applies it.
//!
//! Each node tells all of it, and tells again after a start what it applies again. Sessions are named by their handles,
//! holds by their fencing tokens.

use crate::access::session_handle;
use crate::domain::{
    Acquire, Applied, Body, Command, CommandId, Dialect, EndReason, Entry, Event, Name, Outcome, Refusal, SessionId,
    WaitEnd,
};
use std::collections::BTreeMap;

/// Waits whose names are remembered; they matter to nothing but the words of a line.
const WAITS_MAX: usize = 10_000;

/// What must be known of the commands before, and of waits long before, to name what happened.
#[derive(Default)]
pub struct Journal {
    asked: BTreeMap<CommandId, Asked>,
    waits: BTreeMap<CommandId, Name>,
}

struct Asked {
    name: Name,
    dialect: Dialect,
    session: Option<SessionId>,
}

impl Journal {
    /// Looks at an entry that is about to be applied.
    pub fn read(&mut self, entry: &Entry) {
        self.asked.clear();
        if let (true, Body::Batch { commands, .. }) = (is_wanted(), &entry.body) {
            for submitted in commands {
                if let Command::Acquire(acquire) = &submitted.command {
                    self.asked.insert(submitted.id, Asked::from(&**acquire));
                }
            }
        }
    }

    /// Tells what it did.
    pub fn tell(&mut self, applied: &Applied) {
        if is_wanted() {
            applied.outcomes.iter().for_each(|(id, outcome)| self.tell_outcome(*id, outcome));
            applied.events.iter().for_each(|event| self.tell_event(event));
        }
    }

    fn tell_outcome(&mut self, id: CommandId, outcome: &Outcome) {
        match (outcome, self.asked.get(&id)) {
            (Outcome::SessionOpened { session }, _) => {
                let session = handle(*session);
                tracing::debug!(session, "session {session} is open");
            }
            (Outcome::Queued { position } | Outcome::Enqueued { position }, Some(asked)) => {
                let Asked { name, dialect, session } = asked;
                let session = session.map(handle);
                tracing::debug!(lock = ?name, position, ?dialect, session, "a request waits for {name:?}, behind {position}");
                if self.waits.len() >= WAITS_MAX {
                    self.waits.pop_first();
                }
                self.waits.insert(id, name.clone());
            }
            (Outcome::Refused(refusal), Some(asked)) => tell_not_granted(asked, refusal),
            _ => {}
        }
    }

    fn tell_event(&mut self, event: &Event) {
        match event {
            Event::Granted { name, token, session, dialect, .. } => {
                let (token, session) = (token.0, session.map(handle));
                tracing::debug!(lock = ?name, token, ?dialect, session, "{name:?} is granted under token {token}");
            }
            Event::HoldEnded { name, token, why, session, dialect, .. } => {
                let (token, session, why) = (token.0, session.map(handle), end_of_hold(*why));
                tracing::debug!(lock = ?name, token, why, ?dialect, session, "the hold {token} of {name:?} has ended: {why}");
            }
            Event::WaiterGranted { command, .. } => drop(self.waits.remove(command)),
            Event::WaiterEnded { command, why } => {
                let (name, why) = (self.waits.remove(command), end_of_wait(*why));
                match name {
                    Some(name) => tracing::debug!(lock = ?name, why, "a wait for {name:?} has ended: {why}"),
                    None => tracing::debug!(why, "a wait has ended: {why}"),
                }
            }
            Event::SessionEnded { session, idle } => {
                let (session, why) = (handle(*session), if *idle { "nothing was heard of it" } else { "closed" });
                tracing::debug!(session, why, "session {session} has ended: {why}");
            }
            // Counted, and told as what it is, where events are counted.
            Event::Broken(_) => {}
        }
    }
}

/// A refusal that has no entry.
pub fn tell_refused(acquire: &Acquire, refusal: &Refusal) {
    if is_wanted() {
        tell_not_granted(&Asked::from(acquire), refusal);
    }
}

fn tell_not_granted(Asked { name, dialect, session }: &Asked, refusal: &Refusal) {
    let (session, why) = (session.map(handle), in_words(refusal));
    tracing::debug!(lock = ?name, why, ?dialect, session, "{name:?} is not granted: {why}");
}

impl From<&Acquire> for Asked {
    fn from(acquire: &Acquire) -> Asked {
        Asked { name: acquire.name.clone(), dialect: acquire.dialect, session: acquire.session }
    }
}

fn is_wanted() -> bool {
    tracing::enabled!(tracing::Level::DEBUG)
}

fn handle(session: SessionId) -> String {
    session_handle(&session.0)
}

/// Without what a holder says of itself.
fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Held(held) => format!("held, {} wait", held.waiters),
        other => format!("{other:?}"),
    }
}

fn end_of_hold(why: EndReason) -> &'static str {
    match why {
        EndReason::Released => "released",
        EndReason::Expired => "its lease is over",
        EndReason::Forced => "ended by an operator",
        EndReason::SessionEnded => "its session has ended",
        EndReason::Cancelled => "its answer could not be delivered",
    }
}

fn end_of_wait(why: WaitEnd) -> &'static str {
    match why {
        WaitEnd::TimedOut => "timed out",
        WaitEnd::Cancelled => "given up",
        WaitEnd::SessionEnded => "its session has ended",
    }
}
