//! The last hold of each lock that is free now, for RaftLock, which shows a lock after its owner has gone.
//!
//! Local to this node, bounded, and lost with the process. Nothing is decided by it.

use crate::base::bounded_map::BoundedMap;
use crate::domain::{Dialect, Event, Name, Timestamp, Token};
use parking_lot::Mutex;

/// As many locks as RaftLock keeps by default.
const LOCKS_MAX: usize = 10_000;

/// A hold that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedHold {
    pub token: Token,
    pub since: Timestamp,
    /// When its lease would have ended.
    pub deadline: Option<Timestamp>,
    pub ended: Timestamp,
}

pub struct EndedHolds(Mutex<BoundedMap<Name, EndedHold>>);

impl Default for EndedHolds {
    fn default() -> EndedHolds {
        EndedHolds(Mutex::new(BoundedMap::new(LOCKS_MAX)))
    }
}

impl EndedHolds {
    /// Keeps the holds of RaftLock that have ended; no other dialect asks for them.
    pub fn note(&self, events: &[Event], ended: Timestamp) {
        for event in events {
            if let Event::HoldEnded { name, token, dialect: Dialect::RaftLockGrpc, since, deadline, .. } = event {
                let last = EndedHold { token: *token, since: *since, deadline: *deadline, ended };
                *self.0.lock().get_or_insert(name.clone(), last) = last;
            }
        }
    }

    pub fn of(&self, name: &Name) -> Option<EndedHold> {
        self.0.lock().get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_node::released;

    #[test]
    fn ended_raftlock_holds_are_kept_within_the_bound() {
        let holds = EndedHolds::default();
        let all: Vec<Event> =
            (0..=LOCKS_MAX as u64).map(|at| released(&at.to_string(), at, Dialect::RaftLockGrpc)).collect();
        holds.note(&all, Timestamp(5));
        holds.note(
            &[released("1", 77, Dialect::RaftLockGrpc), released("other", 1, Dialect::DoubleDutch)],
            Timestamp(6),
        );
        assert_eq!(holds.of(&"0".into()), None, "the oldest is forgotten");
        let expected =
            EndedHold { token: Token(77), since: Timestamp(1), deadline: Some(Timestamp(9)), ended: Timestamp(6) };
        assert_eq!(holds.of(&"1".into()), Some(expected));
        assert_eq!(holds.of(&"other".into()), None);
        assert_eq!(holds.0.lock().len(), LOCKS_MAX);
    }
}
