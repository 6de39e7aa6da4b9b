//! What subscriptions read from: the event log, the table that it belongs to, and the table's current locks.

use super::event::{EventId, NameFilter};
use super::log::EventLog;
use crate::domain::view::{LockFilter, LockView};
use crate::domain::{FrozenTable, LeaderView, Table, Timestamp};
use crate::engine::reads::TableReader;
use parking_lot::RwLockReadGuard;
use std::sync::Arc;

pub struct EventSource {
    pub log: Arc<EventLog>,
    pub reader: Arc<TableReader>,
}

impl EventSource {
    /// The id after the last event of the table.
    pub fn last_id(&self) -> EventId {
        self.table_and_last_id().1
    }

    /// The table, and the id after its last event.
    pub fn table_and_last_id(&self) -> (RwLockReadGuard<'_, Table>, EventId) {
        let (table, index) = self.reader.host.table_and_event_index();
        let id = EventId::after_entry(index, table.table_id());
        (table, id)
    }
}

/// Locks and holds that one state shows; the listing has the rest.
const LOCKS_MAX: usize = 1_000;
const HOLDS_MAX: usize = 1_000;

/// The locks that a subscriber filters for, as of one event id.
#[derive(Debug)]
pub struct CurrentState {
    /// Events after this are not in the state; all before it are.
    pub id: EventId,
    /// Ordered by name.
    pub locks: Vec<LockView>,
    /// There are more than one state shows.
    pub more: bool,
    /// The leader, where an election was asked for.
    pub leader: Option<LeaderView>,
    /// Cluster time of the view.
    pub now: Timestamp,
}

impl EventSource {
    /// The state of this node's table now.
    pub async fn current_state(&self, names: &NameFilter) -> CurrentState {
        match names {
            NameFilter::One(name) | NameFilter::Election(name) => {
                let (table, id) = self.table_and_last_id();
                let now = self.reader.clock.now();
                let locks = table.lock_view(name, now).into_iter().collect();
                // Nobody is told to rely on it: a state may be late.
                let leader = names.is_election().then(|| table.leader_view(name, now, now)).flatten();
                CurrentState { id, locks, more: false, leader, now }
            }
            NameFilter::Under(prefixes) => {
                // If this fails, no other listing runs.
                let _turn = self.reader.listings.acquire().await.ok();
                let (frozen, id, now) = {
                    let (table, id) = self.table_and_last_id();
                    (table.freeze(), id, self.reader.clock.now())
                };
                let filter = LockFilter { prefixes: prefixes.clone(), ..LockFilter::default() };
                let listed = self.reader.blocking.spawn_blocking(move || list(&frozen, &filter, now)).await;
                // Only the end of the runtime cuts it off.
                let (locks, more) = listed.unwrap_or((Vec::new(), true));
                CurrentState { id, locks, more, leader: None, now }
            }
        }
    }
}

/// The locks of a filter, as far as there is room, and whether there are more.
fn list(frozen: &FrozenTable, filter: &LockFilter, now: Timestamp) -> (Vec<LockView>, bool) {
    let (mut locks, mut holds) = (Vec::new(), 0);
    for lock in frozen.locks(filter, None, now) {
        holds += lock.holds.len();
        if locks.len() >= LOCKS_MAX || holds > HOLDS_MAX {
            return (locks, true);
        }
        locks.push(lock);
    }
    (locks, false)
}
