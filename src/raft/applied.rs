//! Which leadership each applied entry is of.
//!
//! What is applied is committed, so every later leader has the same entries there. openraft takes that for granted and
//! does not look: entries that differ at applied indexes would be taken for the same, for ever. They can differ where a
//! node came back without the end of its log, or with an old one, and was elected all the same.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::raft::types::LogId;

/// Leaderships that are remembered: each is one election.
const REMEMBERED_MAX: usize = 1024;

#[derive(Debug, Default)]
pub struct AppliedIds(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The first known entry of each leadership, oldest first.
    firsts: VecDeque<LogId>,
    last: Option<LogId>,
}

impl AppliedIds {
    /// The state is that of a snapshot, up to this entry.
    pub fn begin_at(&self, id: Option<LogId>) {
        *self.lock() = Known { firsts: id.into_iter().collect(), last: id };
    }

    pub fn applied(&self, id: LogId) {
        let mut known = self.lock();
        if known.firsts.back().is_none_or(|first| first.leader_id != id.leader_id) {
            known.firsts.push_back(id);
            if known.firsts.len() > REMEMBERED_MAX {
                known.firsts.pop_front();
            }
        }
        known.last = Some(id);
    }

    pub fn last(&self) -> Option<LogId> {
        self.lock().last
    }

    /// The entry that is applied where `id` is another one.
    pub fn other_than(&self, id: &LogId) -> Option<LogId> {
        let known = self.lock();
        known.last.filter(|last| id.index <= last.index)?;
        let first = known.firsts.iter().rev().find(|first| first.index <= id.index)?;
        (first.leader_id != id.leader_id).then(|| LogId::new(first.leader_id, id.index))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use openraft::CommittedLeaderId;

    use super::*;

    fn id(term: u64, index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(term, 1), index)
    }

    #[test]
    fn an_entry_of_another_leadership_is_found_at_any_applied_index() {
        let ids = AppliedIds::default();
        [id(1, 1), id(1, 2), id(3, 3), id(3, 4)].into_iter().for_each(|id| ids.applied(id));
        for same in [id(1, 1), id(1, 2), id(3, 3), id(3, 4)] {
            assert_eq!(ids.other_than(&same), None, "{same}");
        }
        assert_eq!(ids.other_than(&id(2, 2)), Some(id(1, 2)));
        assert_eq!(ids.other_than(&id(2, 3)), Some(id(3, 3)));
        assert_eq!(ids.other_than(&id(1, 4)), Some(id(3, 4)));
        assert_eq!(ids.other_than(&id(4, 5)), None, "nothing is applied there");
    }

    #[test]
    fn nothing_is_known_of_what_a_snapshot_covers_but_its_last_entry() {
        let ids = AppliedIds::default();
        ids.begin_at(Some(id(2, 10)));
        ids.applied(id(2, 11));
        assert_eq!(ids.other_than(&id(1, 9)), None);
        assert_eq!(ids.other_than(&id(1, 10)), Some(id(2, 10)));
        assert_eq!(ids.other_than(&id(3, 11)), Some(id(2, 11)));
    }
}
