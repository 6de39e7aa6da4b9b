//! The table behind its lock, and what this process knows beside it, such as the entry that it proposed last.

use super::counters::Counters;
use super::debug_log::{self, DebugLog};
use super::ended_holds::EndedHolds;
use super::pending_requests::PendingRequests;
use crate::base::histogram::{BATCH_SIZES, Histogram};
use crate::domain::time::round_up_ms;
use crate::domain::{Acquire, Body, Command, Entry, FEATURE_LEVEL, FrozenTable, Incarnation, Limits, Refusal, Table};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub struct TableHost {
    pub requests: PendingRequests,
    pub counters: Counters,
    pub ended_holds: EndedHolds,
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
    pub fn note_early_refusal(&self, refusal: &Refusal, acquire: Option<&Acquire>) {
        self.counters.count_refusal(refusal);
        if let Some(acquire) = acquire {
            debug_log::log_refused(acquire, refusal);
        }
    }
}

/// The entry, and its encoded form, until it is applied.
#[derive(Default)]
pub struct ProposedEntry(Mutex<Option<(Bytes, Entry)>>);

impl ProposedEntry {
    pub fn keep(&self, payload: Bytes, entry: Entry) {
        *self.0.lock() = Some((payload, entry));
    }

    /// The kept entry, if `payload` is its encoded form.
    ///
    /// Two payloads at the same address are the same: while one is kept, its memory is used for nothing else.
    pub fn take(&self, payload: &[u8]) -> Option<Entry> {
        let kept = self.0.lock().take_if(|(kept, _)| std::ptr::eq::<[u8]>(&**kept, payload));
        kept.map(|(_, entry)| entry)
    }
}

/// Whether all sessions have the same idle timeout: then no session needs to be looked up for it.
///
/// The idle timeout of the first session that was seen in milliseconds, 0 before it, or [`SEVERAL`].
#[derive(Default)]
pub struct IdleTimeouts(AtomicU64);

impl IdleTimeouts {
    /// Whether a session may have another idle timeout than this.
    pub fn differ_from(&self, usual: Duration) -> bool {
        let seen = self.0.load(Ordering::Relaxed);
        seen != 0 && seen != round_up_ms(usual)
    }

    pub(super) fn note(&self, ms: u64) {
        let seen = self.0.load(Ordering::Relaxed);
        let next = if seen == 0 || seen == ms { ms } else { SEVERAL };
        self.0.store(next, Ordering::Relaxed);
    }

    pub(super) fn note_entry(&self, entry: &Entry) {
        let Body::Batch { commands, .. } = &entry.body else { return };
        for submitted in commands {
            if let Command::OpenSession { idle_timeout_ms, .. } = submitted.command {
                self.note(idle_timeout_ms);
            }
        }
    }
}

/// More than one idle timeout was seen.
const SEVERAL: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn keep(proposed: &ProposedEntry, at: u64) -> Bytes {
        let body = Body::Batch { touches: Vec::new(), more_touches: false, commands: Vec::new() };
        let entry = Entry { at: Timestamp(at), epoch: 1, body };
        let payload = Bytes::from(entry.encode());
        proposed.keep(payload.clone(), entry);
        payload
    }

    fn take(proposed: &ProposedEntry, payload: &[u8]) -> Option<Timestamp> {
        proposed.take(payload).map(|entry| entry.at)
    }

    #[test]
    fn proposed_entry_is_taken_once() {
        let proposed = ProposedEntry::default();
        let payload = keep(&proposed, 7);
        assert_eq!(take(&proposed, &payload), Some(Timestamp(7)));
        assert_eq!(take(&proposed, &payload), None);
    }

    #[test]
    fn equal_bytes_elsewhere_and_older_entries_are_not_taken() {
        let proposed = ProposedEntry::default();
        let older = keep(&proposed, 7);
        let copy = older.to_vec();
        assert_eq!(take(&proposed, &copy), None, "a copy");
        let newer = keep(&proposed, 10);
        assert_eq!(take(&proposed, &older), None);
        assert_eq!(take(&proposed, &newer), Some(Timestamp(10)));
    }

    #[test]
    fn second_idle_timeout_differs_from_every_usual_one() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(2));
        let timeouts = IdleTimeouts::default();
        assert!(!timeouts.differ_from(short), "no session was seen");
        timeouts.note(1_000);
        assert!(!timeouts.differ_from(short) && timeouts.differ_from(long));
        timeouts.note(2_000);
        assert!(timeouts.differ_from(short) && timeouts.differ_from(long));
    }
}
