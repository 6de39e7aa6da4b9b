//! At which log entries digests are taken, how, and the digests that were taken last.

use crate::domain::{FEATURE_LEVEL, FrozenTable, Timestamp};
use crate::engine::messages::TableDigest;
use crate::mutants::planted;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The leader looks a follower's digest up among these; a follower is at most a few digests behind.
const KEPT: usize = 16;

pub struct DigestLog {
    /// 0 if nothing is compared.
    every_ms: u64,
    /// The newest table whose digest is not taken yet; older ones are skipped.
    pending: Mutex<Option<(u64, FrozenTable)>>,
    added: Notify,
    kept: Mutex<VecDeque<TableDigest>>,
    newest: watch::Sender<Option<TableDigest>>,
}

impl DigestLog {
    /// `None` compares nothing, as on a node that runs alone.
    pub fn new(every: Option<Duration>) -> DigestLog {
        DigestLog {
            every_ms: every.map_or(0, |every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1)),
            pending: Mutex::default(),
            added: Notify::new(),
            kept: Mutex::default(),
            newest: watch::Sender::new(None),
        }
    }

    /// Whether an entry that moves cluster time from `before` to `after` is the first of its interval.
    pub fn begins_interval(&self, before: Timestamp, after: Timestamp) -> bool {
        self.every_ms > 0 && before.0 / self.every_ms != after.0 / self.every_ms
    }

    /// Whether a digest is taken at the entry that was just applied.
    pub fn is_due(&self, began_leadership: bool, before: Timestamp, after: Timestamp) -> bool {
        self.every_ms > 0
            && (began_leadership || self.begins_interval(before, after))
            && !planted!("tables-not-compared")
    }

    pub fn add(&self, index: u64, frozen: FrozenTable) {
        *self.pending.lock() = Some((index, frozen));
        self.added.notify_one();
    }

    pub(super) async fn next(&self) -> (u64, FrozenTable) {
        loop {
            if let Some(next) = self.pending.lock().take() {
                return next;
            }
            self.added.notified().await;
        }
    }

    pub(super) fn keep(&self, index: u64, digest: [u8; 32]) {
        let digest = TableDigest { index, every_ms: self.every_ms, level: FEATURE_LEVEL, digest };
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(digest);
        drop(kept);
        self.newest.send_replace(Some(digest));
    }

    pub(super) fn newest(&self) -> watch::Receiver<Option<TableDigest>> {
        self.newest.subscribe()
    }

    /// This node's own digest at an index; or else, whether this node is already past that index.
    pub(super) fn at(&self, index: u64) -> Result<TableDigest, bool> {
        let kept = self.kept.lock();
        let found = kept.iter().find(|digest| digest.index == index);
        found.copied().ok_or_else(|| kept.back().is_some_and(|newest| newest.index > index))
    }
}

/// About how many records one digest covers; a larger table is covered in turns.
const RECORDS_MAX: usize = 1 << 16;
/// After so many bytes other tasks get their turn.
const BYTES_AT_A_TIME: usize = 64 << 10;

/// Runs until it is aborted.
pub async fn take_digests(digests: Arc<DigestLog>) {
    loop {
        let (index, frozen) = digests.next().await;
        let digest = digest_of(&frozen, digests.every_ms).await;
        digests.keep(index, digest);
    }
}

async fn digest_of(frozen: &FrozenTable, span_ms: u64) -> [u8; 32] {
    let mut hasher = Sha256::new();
    let mut bytes = Vec::with_capacity(2 * BYTES_AT_A_TIME);
    frozen.put_summary(&mut bytes);
    let step = frozen.records().div_ceil(RECORDS_MAX).clamp(1, FrozenTable::PARTS);
    let first = (frozen.turn(span_ms) % step as u64) as usize;
    for part in (first..FrozenTable::PARTS).step_by(step) {
        frozen.put_part(part, &mut bytes);
        if bytes.len() >= BYTES_AT_A_TIME {
            hasher.update(&bytes);
            bytes.clear();
            tokio::task::yield_now().await;
        }
    }
    hasher.update(&bytes);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_digests_follow_from_the_log_alone() {
        let digests = DigestLog::new(Some(Duration::from_secs(10)));
        let begins = |before, after| digests.is_due(false, Timestamp(before), Timestamp(after));
        assert!(!begins(0, 9_999) && begins(9_999, 10_000) && !begins(10_000, 19_999) && begins(10_000, 47_000));
        assert!(digests.is_due(true, Timestamp(5), Timestamp(5)), "each leadership begins with one");
        assert!(!DigestLog::new(None).is_due(true, Timestamp(5), Timestamp(50_000)));
    }

    #[test]
    fn missing_digest_is_either_past_or_to_come() {
        let digests = DigestLog::new(Some(Duration::from_secs(10)));
        assert_eq!(digests.at(5), Err(false));
        (0..=KEPT as u64).for_each(|index| digests.keep(index * 10, [0; 32]));
        assert_eq!(digests.at(0), Err(true), "it was the oldest");
        assert_eq!(digests.at(10).map(|digest| digest.index), Ok(10));
        assert_eq!((digests.at(15), digests.at(1_000)), (Err(true), Err(false)));
    }
}
