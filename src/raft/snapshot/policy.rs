//! When a snapshot is taken, and how much of the log stays behind it; asks openraft for both. A node without peers is asked
//! in `standalone/start.rs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::raft::types::Raft;

/// What an entry costs in the log beyond its payload: record type, log id, header, checksum and the commit record.
const ENTRY_OVERHEAD_BYTES: u64 = 84;

/// Entries kept behind a snapshot in any case: few, because one entry may be a batch of a thousand commands.
const KEPT_ENTRIES: u64 = 16;
/// How many marks there are for what is kept.
const MARKS: u64 = 16;

/// Decides by bytes. Can be read at any time without stopping the log.
#[derive(Debug, Default)]
pub struct SnapshotPolicy {
    snapshot_log_bytes: u64,
    /// How much of the log stays behind a snapshot, for nodes that were away for a short while.
    kept_bytes: u64,
    /// The last entry that the newest snapshot covers.
    index: AtomicU64,
    /// Applied since the last snapshot.
    log_bytes: AtomicU64,
    last_snapshot_bytes: AtomicU64,
    /// A snapshot was requested and has not begun.
    wanted: AtomicBool,
    building: AtomicBool,
    /// How many bytes of log the snapshot covers that is being built.
    building_bytes: AtomicU64,
    /// The last snapshot did not fit on the disk.
    unfit: AtomicBool,
    marks: Mutex<Marks>,
    changed: Notify,
}

/// Where the log stood after how many bytes, oldest first.
#[derive(Debug, Default)]
struct Marks {
    total_bytes: u64,
    /// Index, and the bytes up to it.
    at: VecDeque<(u64, u64)>,
}

/// What is to be done.
pub enum SnapshotStep {
    Take,
    /// Up to this entry, which a snapshot covers.
    PurgeLog {
        upto: u64,
    },
}

impl SnapshotPolicy {
    pub fn new(snapshot_log_bytes: u64, kept_bytes: u64) -> Self {
        Self { snapshot_log_bytes, kept_bytes, ..Self::default() }
    }

    pub fn snapshot_index(&self) -> u64 {
        self.index.load(Relaxed)
    }

    /// Bytes applied since the last snapshot.
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Relaxed)
    }

    /// Counts an applied entry and requests a snapshot when the log has grown enough.
    ///
    /// Enough is `snapshot_log_bytes`, or the size of the last snapshot if that is more: a snapshot is then never
    /// written for less log than its own size, so that all snapshots together cost at most as much as the log itself,
    /// however large the state is.
    pub fn entry_applied(&self, index: u64, payload_bytes: usize) {
        let added = payload_bytes as u64 + ENTRY_OVERHEAD_BYTES;
        let log_bytes = self.log_bytes.fetch_add(added, Relaxed) + added;
        self.mark(index, added);
        let enough = self.snapshot_log_bytes.max(self.last_snapshot_bytes.load(Relaxed));
        if log_bytes > enough && !self.building.load(Relaxed) && !self.wanted.swap(true, Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Resolves soon after a snapshot was requested, has begun or has ended.
    async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The state up to the last applied entry is frozen; later entries belong to the next snapshot.
    pub fn started(&self) {
        self.building.store(true, Relaxed);
        self.building_bytes.store(self.log_bytes.swap(0, Relaxed), Relaxed);
        self.wanted.store(false, Relaxed);
        self.changed.notify_one();
    }

    pub fn ended(&self, index: u64, bytes: u64) {
        self.index.store(index, Relaxed);
        self.last_snapshot_bytes.store(bytes, Relaxed);
        self.building.store(false, Relaxed);
        self.unfit.store(false, Relaxed);
        self.changed.notify_one();
    }

    /// The snapshot before and the log stay as they are.
    pub fn did_not_fit(&self) {
        self.log_bytes.fetch_add(self.building_bytes.load(Relaxed), Relaxed);
        self.building.store(false, Relaxed);
        self.unfit.store(true, Relaxed);
        self.changed.notify_one();
    }

    /// Whether the last snapshot did not fit on the disk, and none has since.
    pub fn is_unfit(&self) -> bool {
        self.unfit.load(Relaxed)
    }

    /// Waits until a snapshot is to be taken, or the log purged, whose last purged entry is given.
    pub async fn next_step(&self, purged: Option<u64>) -> SnapshotStep {
        loop {
            if self.wanted.load(Relaxed) {
                return SnapshotStep::Take;
            }
            if let Some(upto) = self.purge_upto().filter(|upto| Some(*upto) > purged) {
                return SnapshotStep::PurgeLog { upto };
            }
            if self.is_unfit() {
                // A snapshot that is requested meanwhile waits as long.
                tokio::time::sleep(UNFIT_RETRY_DELAY).await;
                self.wanted.store(true, Relaxed);
            } else {
                self.changed().await;
            }
        }
    }

    /// How much space the next snapshot takes, and the log until then.
    ///
    /// The state can have grown by about as much as was logged since the last snapshot; a fifth more allows for entries
    /// that take more space in a snapshot than in the log.
    pub fn reserve_bytes(&self) -> u64 {
        let (last, log) = (self.last_snapshot_bytes.load(Relaxed), self.log_bytes.load(Relaxed));
        let log_to_come = self.snapshot_log_bytes.max(last).saturating_sub(log);
        (last + log).saturating_mul(6) / 5 + log_to_come
    }

    /// The last entry that need not be kept behind the newest snapshot.
    fn purge_upto(&self) -> Option<u64> {
        let covered = self.index.load(Relaxed).checked_sub(KEPT_ENTRIES)?;
        if self.kept_bytes == 0 {
            return Some(covered);
        }
        let mut marks = self.marks.lock();
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
        let mut marks = self.marks.lock();
        marks.total_bytes += bytes;
        let total = marks.total_bytes;
        if marks.at.back().is_none_or(|(_, marked)| total - marked >= self.kept_bytes.div_ceil(MARKS)) {
            marks.at.push_back((index, total));
        }
    }
}

const RETRY_DELAY: Duration = Duration::from_millis(100);

/// After a snapshot that did not fit.
const UNFIT_RETRY_DELAY: Duration = Duration::from_secs(2);

/// openraft drops a request that arrives before it has noticed the end of the last build, or while a follower is sent
/// what should be purged, so that asking once is not enough.
pub async fn take_snapshots(raft: Raft, policy: Arc<SnapshotPolicy>) {
    loop {
        let purged = raft.data_metrics().borrow().purged.map(|id| id.index);
        let asked = match policy.next_step(purged).await {
            SnapshotStep::Take => raft.trigger().snapshot().await,
            SnapshotStep::PurgeLog { upto } => raft.trigger().purge_log(upto).await,
        };
        if asked.is_err() {
            return;
        }
        drop(tokio::time::timeout(RETRY_DELAY, policy.changed()).await);
    }
}
