//! The table behind its lock, and what this process knows beside it, such as the entry that it proposed last.

use super::counters::Counters;
use super::debug_log::{self, DebugLog};
use super::ended_holds::EndedHolds;
use super::idle_timeouts::IdleTimeouts;
use super::pending_requests::PendingRequests;
use super::proposed_entry::ProposedEntry;
use crate::base::histogram::{BATCH_SIZES, Histogram};
use crate::domain::{Acquire, Entry, FEATURE_LEVEL, FrozenTable, Incarnation, Limits, Refusal, Table};
use crate::engine::contention::{SlowLocks, Statistics};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub struct TableHost {
    pub requests: PendingRequests,
    pub counters: Counters,
    pub ended_holds: EndedHolds,
    pub contention: Statistics,
    pub slow_locks: SlowLocks,
    pub idle_timeouts: IdleTimeouts,
    /// Commands of each log entry.
    pub batch_sizes: Histogram,
    pub(super) table: RwLock<Table>,
    /// A copy of the table's limits, which needs no wait for an entry that is being applied. `None` until a leader has
    /// opened the table.
    pub(super) limits: Mutex<Option<Limits>>,
    /// The index in event ids of the last applied entry; changes under the table's lock.
    pub(super) event_index: AtomicU64,
    /// The last entry belonged to another leadership, so it was not applied.
    pub(super) refused_entry: AtomicBool,
    pub(super) proposed: ProposedEntry,
    pub(super) debug_log: Mutex<DebugLog>,
}

impl TableHost {
    pub fn new(incarnation: Incarnation) -> TableHost {
        TableHost {
            requests: PendingRequests::new(incarnation),
            counters: Counters::default(),
            ended_holds: EndedHolds::default(),
            contention: Statistics::default(),
            slow_locks: SlowLocks::default(),
            idle_timeouts: IdleTimeouts::default(),
            batch_sizes: Histogram::new(BATCH_SIZES),
            table: RwLock::default(),
            limits: Mutex::default(),
            event_index: AtomicU64::new(0),
            refused_entry: AtomicBool::new(false),
            proposed: ProposedEntry::default(),
            debug_log: Mutex::default(),
        }
    }

    pub fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read()
    }

    /// The limits that apply consults; `None` until a leader has opened the table.
    pub fn limits(&self) -> Option<Limits> {
        *self.limits.lock()
    }

    /// Called under the table's lock, after each change of its limits.
    pub(super) fn note_limits(&self, table: &Table) {
        *self.limits.lock() = (table.level() > 0).then(|| *table.limits());
    }

    /// The table, and the index in event ids of the last entry that is applied to it.
    pub fn table_and_event_index(&self) -> (RwLockReadGuard<'_, Table>, u64) {
        let table = self.table();
        let index = self.event_index.load(Ordering::Relaxed);
        (table, index)
    }

    pub fn freeze(&self) -> FrozenTable {
        self.table().freeze()
    }

    /// Encodes an entry for the log, and keeps it so that applying it here needs no decoding.
    pub fn encode(&self, entry: Entry) -> Bytes {
        let entry = self.for_all_nodes(entry);
        let payload = Bytes::from(entry.encode());
        self.proposed.keep(payload.clone(), entry);
        payload
    }

    /// An entry in a form that every node can read, including nodes of an older release.
    pub fn for_all_nodes(&self, entry: Entry) -> Entry {
        let level = self.table().level();
        entry.for_level(if level == 0 { FEATURE_LEVEL } else { level })
    }

    /// Whether the last applied entry was refused because another leadership had begun.
    pub fn has_refused_entry(&self) -> bool {
        self.refused_entry.load(Ordering::Acquire)
    }

    /// Counts a refusal that was given without a log entry.
    pub fn note_preflight_refusal(&self, refusal: &Refusal, acquire: Option<&Acquire>) {
        self.counters.count_refusal(refusal);
        if let Some(acquire) = acquire {
            debug_log::log_refused(acquire, refusal);
        }
    }
}
