//! Counters shared by the stores, the state machine and the node, and the rule that asks for a snapshot.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::base::histogram::Histogram;
use crate::raft::applied::AppliedIds;
use crate::raft::data_dir::space::DiskSpace;
use crate::raft::log::slow_disk::SlowDisk;
use crate::raft::progress::Progress;

/// What an entry costs in the log beyond its payload: record type, log id, header, checksum and the commit record.
const ENTRY_OVERHEAD_BYTES: u64 = 84;

/// Entries kept behind a snapshot in any case: few, because one entry may be a batch of a thousand commands.
const KEPT_ENTRIES: u64 = 16;
/// A mark is set after each such part of what is kept.
const MARKS: u64 = 16;

/// Where the log stood after how many bytes, oldest first.
#[derive(Debug, Default)]
struct Marks {
    total_bytes: u64,
    /// Index, and the bytes up to it.
    at: VecDeque<(u64, u64)>,
}

/// Counters that anybody may read at any time without stopping the log.
#[derive(Debug, Default)]
pub struct Meters {
    pub last_log_index: AtomicU64,
    pub applied_index: AtomicU64,
    pub snapshot_index: AtomicU64,
    snapshot_log_bytes: u64,
    log_bytes: AtomicU64,
    last_snapshot_bytes: AtomicU64,
    /// Asked for, and not begun yet.
    wanted: AtomicBool,
    building: AtomicBool,
    /// How many bytes of log the snapshot covers that is being built.
    building_bytes: AtomicU64,
    /// The last one did not fit on the disk.
    unfit: AtomicBool,
    pub room: DiskSpace,
    pub slow_disk: SlowDisk,
    /// How much of the log stays behind a snapshot, for nodes that were away for a short while.
    kept_bytes: u64,
    marks: Mutex<Marks>,
    changed: Notify,
    /// From handing an append to the log's writer until it is on disk.
    pub flushes: Histogram,
    pub applied_ids: AppliedIds,
    /// The same as `applied_index`, for those who wait for it.
    applied: watch::Sender<u64>,
}

impl Meters {
    pub fn new(snapshot_log_bytes: u64, kept_bytes: u64) -> Self {
        Self { snapshot_log_bytes, kept_bytes, ..Self::default() }
    }

    pub fn progress(&self) -> Progress {
        Progress {
            last_log_index: self.last_log_index.load(Relaxed),
            applied_index: self.applied_index.load(Relaxed),
            snapshot_index: self.snapshot_index.load(Relaxed),
            log_bytes: self.log_bytes.load(Relaxed),
        }
    }

    /// Counts an applied entry and asks for a snapshot when the log has grown enough.
    ///
    /// Enough is `snapshot_log_bytes`, or the size of the last snapshot where that is more: a snapshot is then never
    /// written for less log than its own size, so that all snapshots together cost at most as much as the log itself,
    /// however large the state is. (With a fixed step, a large state would be rewritten again and again.)
    pub fn entry_applied(&self, index: u64, payload_bytes: usize) {
        self.applied_index.store(index, Relaxed);
        let added = payload_bytes as u64 + ENTRY_OVERHEAD_BYTES;
        let log_bytes = self.log_bytes.fetch_add(added, Relaxed) + added;
        self.mark(index, added);
        let enough = self.snapshot_log_bytes.max(self.last_snapshot_bytes.load(Relaxed));
        if log_bytes > enough && !self.building.load(Relaxed) && !self.wanted.swap(true, Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Everything up to `index` is applied, or is in a snapshot that was installed: told once for many entries.
    pub fn applied_up_to(&self, index: u64) {
        self.applied_index.store(index, Relaxed);
        self.applied.send_replace(index);
    }

    /// Resolves when everything up to `index` is applied.
    pub async fn applied(&self, index: u64) {
        // The sender is part of this value: waiting cannot fail.
        drop(self.applied.subscribe().wait_for(|applied| *applied >= index).await);
    }

    /// Whether a snapshot should be built that has not begun.
    pub fn snapshot_wanted(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    /// Resolves soon after a snapshot was wanted, has begun or has ended.
    pub async fn snapshot_changed(&self) {
        self.changed.notified().await;
    }

    /// The state up to the last applied entry is frozen; entries from here on belong to the next snapshot.
    pub fn snapshot_started(&self) {
        self.building.store(true, Relaxed);
        self.building_bytes.store(self.log_bytes.swap(0, Relaxed), Relaxed);
        self.wanted.store(false, Relaxed);
        self.changed.notify_one();
    }

    pub fn snapshot_ended(&self, index: u64, bytes: u64) {
        self.snapshot_index.store(index, Relaxed);
        self.last_snapshot_bytes.store(bytes, Relaxed);
        self.building.store(false, Relaxed);
        self.unfit.store(false, Relaxed);
        self.changed.notify_one();
    }

    /// The snapshot before it and the log stay what they were.
    pub fn snapshot_did_not_fit(&self) {
        self.log_bytes.fetch_add(self.building_bytes.load(Relaxed), Relaxed);
        self.building.store(false, Relaxed);
        self.unfit.store(true, Relaxed);
        self.changed.notify_one();
    }

    /// Whether the last snapshot did not fit on the disk, and none has since.
    pub fn is_unfit(&self) -> bool {
        self.unfit.load(Relaxed)
    }

    /// Tries again what did not fit.
    pub fn want_snapshot(&self) {
        self.wanted.store(true, Relaxed);
    }

    /// How much room the next snapshot takes, and the log until then.
    ///
    /// What was logged since the last snapshot is the most by which the state can have grown, about; a fifth more is for
    /// what an entry takes more room in a snapshot than in the log.
    pub fn reserve_bytes(&self) -> u64 {
        let (last, log) = (self.last_snapshot_bytes.load(Relaxed), self.log_bytes.load(Relaxed));
        let log_to_come = self.snapshot_log_bytes.max(last).saturating_sub(log);
        (last + log).saturating_mul(6) / 5 + log_to_come
    }

    /// The last entry that need not be kept behind the newest snapshot.
    pub fn purge_upto(&self) -> Option<u64> {
        let covered = self.snapshot_index.load(Relaxed).checked_sub(KEPT_ENTRIES)?;
        if self.kept_bytes == 0 {
            return Some(covered);
        }
        let mut marks = self.marks();
        let far_enough = marks.total_bytes.checked_sub(self.kept_bytes)?;
        let count = marks.at.iter().take_while(|(index, bytes)| *index <= covered && *bytes <= far_enough).count();
        let (last, _) = *marks.at.get(count.checked_sub(1)?)?;
        marks.at.drain(..count - 1);
        Some(last)
    }

    fn mark(&self, index: u64, bytes: u64) {
        if self.kept_bytes == 0 {
            return;
        }
        let mut marks = self.marks();
        marks.total_bytes += bytes;
        let total = marks.total_bytes;
        if marks.at.back().is_none_or(|(_, marked)| total - marked >= self.kept_bytes.div_ceil(MARKS)) {
            marks.at.push_back((index, total));
        }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
