//! Applies committed entries to the table, and answers the requests that wait for them.

use super::host::TableHost;
use crate::base::clock;
use crate::base::request_times;
use crate::base::{FLUSH_TARGET, LogRateLimit};
use crate::domain::{Applied, Body, Entry, Event, StaleEpoch, Table, Timestamp};
use crate::mutants::planted;
use std::io::Read;
use std::sync::atomic::Ordering;

/// A former leader proposes entries until it learns that another node leads.
static STALE: LogRateLimit = LogRateLimit::new(6);

/// What an entry did, besides the answers that have gone out.
pub struct AppliedEntry {
    /// The index of the entry in event ids.
    pub event_index: u64,
    pub events: Vec<Event>,
    /// The table's origin and id, where this entry has opened the table.
    pub opened: Option<(u64, u64)>,
    pub began_leadership: bool,
    /// Cluster time before the entry and after it.
    pub time: (Timestamp, Timestamp),
}

/// A table that a snapshot has put in the place of the one before.
pub struct RestoredTable {
    /// The index in event ids of the last entry that is part of it.
    pub event_index: u64,
    pub table_id: u64,
}

impl TableHost {
    /// Applies the entry at `index` of the log. Called in the order of the log, from one task.
    pub fn apply(&self, index: u64, payload: &[u8]) -> AppliedEntry {
        let decode = || Entry::decode(payload).unwrap_or_else(|error| abort_unreadable(&error));
        let entry = self.proposed.take(payload).unwrap_or_else(decode);
        planted!("one-node-applies-otherwise" => return self.apply_decoded(index, self.without_releases(entry)));
        self.apply_decoded(index, entry)
    }

    fn apply_decoded(&self, index: u64, entry: Entry) -> AppliedEntry {
        let began_leadership = matches!(entry.body, Body::LeaderStart(_));
        self.idle_timeouts.note_entry(&entry);
        let mut debug_log = self.debug_log.lock();
        let began = request_times::is_on().then(clock::process_age);
        debug_log.read(&entry);
        let (applied, event_index, time) = self.change_table(index, entry);
        let (events, opened) = match applied {
            Ok(mut applied) => {
                self.refused_entry.store(false, Ordering::Release);
                self.count(&applied, began_leadership);
                debug_log.log(&applied);
                self.contention.note(&applied, time.1);
                self.slow_locks.log(&applied, time.1, || self.table());
                self.requests.answer(&mut applied, began);
                (applied.events, if began_leadership { self.opened() } else { None })
            }
            Err(StaleEpoch { found, expected }) => {
                if let Some(held_back) = STALE.admit(clock::process_age()) {
                    tracing::warn!(found, expected, held_back, "an entry of another leadership was not applied");
                }
                self.refused_entry.store(true, Ordering::Release);
                (Vec::new(), None)
            }
        };
        AppliedEntry { event_index, events, opened, began_leadership, time }
    }

    /// Puts the table of a snapshot, as it is after the entry at `index`, in the place of this one.
    pub fn restore(&self, index: u64, snapshot: &mut dyn Read) -> Result<RestoredTable, String> {
        let restored = Table::restore(snapshot).map_err(|error| error.to_string())?;
        let table_id = restored.table_id();
        restored.idle_timeouts_ms().for_each(|ms| self.idle_timeouts.note(ms));
        self.contention.resume(&restored);
        let event_index = {
            let mut table = self.table.write();
            *table = restored;
            self.note_limits(&table);
            self.note_index(&table, index)
        };
        Ok(RestoredTable { event_index, table_id })
    }

    fn change_table(&self, index: u64, entry: Entry) -> (Result<Applied, StaleEpoch>, u64, (Timestamp, Timestamp)) {
        let mut table = self.table.write();
        let before = table.now();
        let begins_leadership = matches!(entry.body, Body::LeaderStart(_));
        let applied = table.apply_at(index, entry);
        if begins_leadership {
            self.note_limits(&table);
        }
        if let Ok(applied) = &applied {
            self.ended_holds.note(&applied.events, table.now());
        }
        (applied, self.note_index(&table, index), (before, table.now()))
    }

    /// The entry at `index` is applied: returns its index in event ids.
    fn note_index(&self, table: &Table, index: u64) -> u64 {
        let event_index = table.event_origin().saturating_add(index);
        self.event_index.store(event_index, Ordering::Relaxed);
        event_index
    }

    fn count(&self, applied: &Applied, began_leadership: bool) {
        self.counters.count(applied);
        if began_leadership {
            self.counters.count_leadership();
        } else {
            self.batch_sizes.observe(applied.outcomes.len() as f64);
        }
    }

    /// The first leadership opens the table. Later ones change nothing of what came before.
    fn opened(&self) -> Option<(u64, u64)> {
        let table = self.table();
        (table.epoch() == 1).then(|| (table.event_origin(), table.table_id()))
    }

    /// A planted bug: node 2 forgets releases.
    #[cfg(feature = "mutants")]
    fn without_releases(&self, mut entry: Entry) -> Entry {
        let (table, run) = (self.table(), self.requests.incarnation());
        if let Body::Batch { commands, .. } = &mut entry.body
            && table.nodes().get(&crate::domain::NodeId(2)).is_some_and(|node| node.incarnation == run)
        {
            commands.retain(|submitted| !matches!(submitted.command, crate::domain::Command::Release { .. }));
        }
        entry
    }
}

/// The log's checksums were right, so another program wrote this entry: to go on would be to guess at the state.
fn abort_unreadable(error: &dyn std::error::Error) -> ! {
    const WHAT: &str = "a committed log entry cannot be read";
    tracing::error!(target: FLUSH_TARGET, %error, "{WHAT} ({error}); was the data written by a newer latchd?");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        CommandId, FEATURE_LEVEL, Incarnation, LeaderStart, Limits, NodeId, Outcome, SessionId, StoreId, Submitted,
    };
    use crate::engine::command_queue::{AnswerSender, Answered};
    use crate::engine::test_node::open_session;

    const RUN: Incarnation = Incarnation(7);

    fn leader_start() -> Entry {
        let start = LeaderStart {
            first_token: 100,
            limits: Limits { sessions_max: 10, ..Limits::default() },
            node: NodeId(1),
            incarnation: RUN,
            store: StoreId([1; 16]),
            level: FEATURE_LEVEL,
            quotas: None,
            confirm: false,
        };
        Entry { at: Timestamp(1), epoch: 0, body: Body::LeaderStart(start) }
    }

    fn batch(epoch: u64, sequence: u64) -> Entry {
        let id = CommandId { incarnation: RUN, sequence };
        let commands = vec![Submitted { id, command: open_session(1) }];
        Entry { at: Timestamp(2), epoch, body: Body::Batch { touches: Vec::new(), more_touches: false, commands } }
    }

    #[test]
    fn applied_entry_answers_the_request_that_waits_for_it() {
        let host = TableHost::new(RUN);
        let began = host.apply(1, &host.encode(leader_start()));
        assert!(began.began_leadership && began.opened.is_some());
        let (answer, mut receiver) = AnswerSender::new(None);
        host.requests.register(1..=1, [(1, answer)].into_iter());
        let applied = host.apply(2, &host.encode(batch(1, 1)));
        assert_eq!(applied.event_index, began.event_index + 1);
        let Ok(Ok(Answered::Outcome(outcome))) = receiver.try_recv() else { panic!("no answer") };
        assert_eq!(outcome, Outcome::SessionOpened { session: SessionId([1; 16]) });
        assert_eq!((host.requests.settled(), host.counters.read().sessions_opened), (1, 1));
    }

    #[test]
    fn entry_of_another_leadership_changes_nothing() {
        let host = TableHost::new(RUN);
        host.apply(1, &leader_start().encode());
        host.apply(2, &batch(9, 1).encode());
        assert!(host.has_refused_entry());
        assert_eq!((host.requests.settled(), host.table().counts().sessions), (0, 0));
    }
}
