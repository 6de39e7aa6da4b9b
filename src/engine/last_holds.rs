//! The last hold of locks that are free, for the dialect that shows them: RaftLock keeps a lock whose owner has gone.
//!
//! Local to this node and bounded: it follows from the entries that this process has applied, decides nothing, and is
//! forgotten with the process.

use crate::domain::{Dialect, Event, Name, Timestamp, Token};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// As many locks as RaftLock keeps unless told otherwise.
const LOCKS_MAX: usize = 10_000;

/// A hold that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastHold {
    pub token: Token,
    pub since: Timestamp,
    /// When its lease would have ended.
    pub deadline: Option<Timestamp>,
    pub ended: Timestamp,
}

#[derive(Default)]
pub struct LastHolds(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_name: HashMap<Name, LastHold>,
    /// The one that is forgotten next is first.
    order: VecDeque<Name>,
}

impl LastHolds {
    /// Notes what ended of RaftLock's; others have no question for it.
    pub fn note(&self, events: &[Event], ended: Timestamp) {
        for event in events {
            if let Event::HoldEnded { name, token, dialect: Dialect::RaftLockGrpc, since, deadline, .. } = event {
                let last = LastHold { token: *token, since: *since, deadline: *deadline, ended };
                self.kept().keep(name, last);
            }
        }
    }

    pub fn of(&self, name: &Name) -> Option<LastHold> {
        self.kept().by_name.get(name).copied()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, name: &Name, last: LastHold) {
        if self.by_name.insert(name.clone(), last).is_some() {
            return;
        }
        self.order.push_back(name.clone());
        if self.order.len() > LOCKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EndReason;

    fn ended(name: &str, token: u64, dialect: Dialect) -> Event {
        Event::HoldEnded {
            name: name.into(),
            token: Token(token),
            why: EndReason::Released,
            session: None,
            dialect,
            since: Timestamp(1),
            deadline: Some(Timestamp(9)),
        }
    }

    #[test]
    fn the_last_hold_of_raftlocks_locks_is_kept_within_the_bound() {
        let holds = LastHolds::default();
        let all: Vec<Event> =
            (0..=LOCKS_MAX as u64).map(|at| ended(&at.to_string(), at, Dialect::RaftLockGrpc)).collect();
        holds.note(&all, Timestamp(5));
        holds.note(&[ended("1", 77, Dialect::RaftLockGrpc), ended("other", 1, Dialect::DoubleDutch)], Timestamp(6));
        assert_eq!(holds.of(&"0".into()), None, "the oldest is forgotten");
        let expected =
            LastHold { token: Token(77), since: Timestamp(1), deadline: Some(Timestamp(9)), ended: Timestamp(6) };
        assert_eq!(holds.of(&"1".into()), Some(expected));
        assert_eq!(holds.of(&"other".into()), None);
        assert_eq!(holds.kept().order.len(), LOCKS_MAX);
    }
}
