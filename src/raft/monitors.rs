//! The numbers that the parts of one node keep, each its own; they can be read at any time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::raft::log::monitor::LogMonitor;
use crate::raft::snapshot::policy::SnapshotPolicy;
use crate::raft::types::LogId;

/// Clones share the numbers.
#[derive(Debug, Default, Clone)]
pub struct Monitors {
    pub log: Arc<LogMonitor>,
    pub snapshots: Arc<SnapshotPolicy>,
    pub applied: Arc<Applied>,
}

impl Monitors {
    pub fn new(snapshot_log_bytes: u64, kept_bytes: u64) -> Monitors {
        Monitors { snapshots: Arc::new(SnapshotPolicy::new(snapshot_log_bytes, kept_bytes)), ..Monitors::default() }
    }
}

/// Leaderships that are remembered: each is one election.
const REMEMBERED_MAX: usize = 1024;

/// Up to where the log is applied, and in which leadership each applied entry was written.
///
/// What is applied is committed, so every later leader has the same entries there. openraft takes that for granted and
/// does not check it: entries that differ at applied indexes would be taken for the same, for ever. They can differ if a
/// node came back without the end of its log, or with an old log, and was elected all the same.
#[derive(Debug, Default)]
pub struct Applied {
    index: AtomicU64,
    /// The same as `index`, for those who wait for it; sent once for many entries.
    announced: watch::Sender<u64>,
    known: Mutex<KnownIds>,
}

#[derive(Debug, Default)]
struct KnownIds {
    /// The first known entry of each leadership, oldest first.
    firsts: VecDeque<LogId>,
    last: Option<LogId>,
}

impl Applied {
    pub fn index(&self) -> u64 {
        self.index.load(Relaxed)
    }

    /// The state is that of a snapshot, up to this entry.
    pub fn restored(&self, id: Option<LogId>) {
        *self.known.lock() = KnownIds { firsts: id.into_iter().collect(), last: id };
    }

    pub fn entry(&self, id: LogId) {
        let mut known = self.known.lock();
        if known.firsts.back().is_none_or(|first| first.leader_id != id.leader_id) {
            known.firsts.push_back(id);
            if known.firsts.len() > REMEMBERED_MAX {
                known.firsts.pop_front();
            }
        }
        known.last = Some(id);
        drop(known);
        self.index.store(id.index, Relaxed);
    }

    /// Wakes those who wait for entries up to `index`.
    pub fn announce(&self, index: u64) {
        self.index.store(index, Relaxed);
        self.announced.send_replace(index);
    }

    /// Resolves when everything up to `index` is applied.
    pub async fn wait_for(&self, index: u64) {
        // The sender is part of this value: waiting cannot fail.
        drop(self.announced.subscribe().wait_for(|applied| *applied >= index).await);
    }

    pub fn last_id(&self) -> Option<LogId> {
        self.known.lock().last
    }

    /// The entry that is applied at the index of `id`, if it is another one.
    pub fn conflicts_with(&self, id: &LogId) -> Option<LogId> {
        let known = self.known.lock();
        known.last.filter(|last| id.index <= last.index)?;
        let first = known.firsts.iter().rev().find(|first| first.index <= id.index)?;
        (first.leader_id != id.leader_id).then(|| LogId::new(first.leader_id, id.index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::types::log_id;

    fn id(term: u64, index: u64) -> LogId {
        log_id(term, 1, index)
    }

    #[test]
    fn entry_of_another_leadership_conflicts_at_every_applied_index() {
        let applied = Applied::default();
        [id(1, 1), id(1, 2), id(3, 3), id(3, 4)].into_iter().for_each(|id| applied.entry(id));
        for same in [id(1, 1), id(1, 2), id(3, 3), id(3, 4)] {
            assert_eq!(applied.conflicts_with(&same), None, "{same}");
        }
        assert_eq!(applied.conflicts_with(&id(2, 2)), Some(id(1, 2)));
        assert_eq!(applied.conflicts_with(&id(2, 3)), Some(id(3, 3)));
        assert_eq!(applied.conflicts_with(&id(1, 4)), Some(id(3, 4)));
        assert_eq!(applied.conflicts_with(&id(4, 5)), None, "nothing is applied there");
    }

    #[test]
    fn only_last_entry_of_snapshot_is_known() {
        let applied = Applied::default();
        applied.restored(Some(id(2, 10)));
        applied.entry(id(2, 11));
        assert_eq!(applied.conflicts_with(&id(1, 9)), None);
        assert_eq!(applied.conflicts_with(&id(1, 10)), Some(id(2, 10)));
        assert_eq!(applied.conflicts_with(&id(3, 11)), Some(id(2, 11)));
    }
}
