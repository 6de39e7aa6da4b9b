//! Free space on the data disk: new grants are refused before the log and its snapshots no longer fit.

use super::error::EngineError;
use crate::mutants::planted;
use crate::raft::{RaftNode, free_bytes};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CHECK_EVERY: Duration = Duration::from_millis(500);

pub struct DiskSpace {
    raft: RaftNode,
    min_free_bytes: u64,
    nearly_full: AtomicBool,
}

impl DiskSpace {
    pub fn new(raft: RaftNode, min_free_bytes: u64) -> DiskSpace {
        DiskSpace { raft, min_free_bytes, nearly_full: AtomicBool::new(false) }
    }

    pub fn is_nearly_full(&self) -> bool {
        self.nearly_full.load(Ordering::Relaxed)
    }

    /// New holds and sessions need a disk that can take them.
    pub fn check_free(&self) -> Result<(), EngineError> {
        if self.is_nearly_full() { Err(EngineError::DiskNearlyFull) } else { Ok(()) }
    }

    /// Free space below which new grants are refused: what is configured, or what the next snapshot needs if that is more.
    pub fn reserve_bytes(&self) -> u64 {
        let configured = self.min_free_bytes;
        planted!("snapshot-space-not-reserved", configured.max(self.raft.reserve_bytes()) => configured)
    }

    /// Checks again and again. Runs until it is aborted.
    pub async fn watch(self: Arc<Self>, dir: PathBuf) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            self.check(&dir);
        }
    }

    pub fn check(&self, dir: &Path) {
        let free = match free_bytes(dir) {
            Ok(free) => free,
            Err(error) => return tracing::warn!(%error, "the free space of the data disk cannot be read"),
        };
        let reserve = self.reserve_bytes();
        let is_snapshot_unfit = self.raft.is_snapshot_unfit();
        let full = free < reserve || is_snapshot_unfit;
        if self.nearly_full.swap(full, Ordering::Relaxed) == full {
            return;
        }
        let configured = self.min_free_bytes;
        match full {
            true => tracing::error!(
                free,
                reserve,
                configured,
                is_snapshot_unfit,
                "the data disk is nearly full: new locks are refused (storage.min_free_bytes, or more where a snapshot needs it)"
            ),
            false => tracing::info!(free, reserve, "the data disk has room again"),
        }
    }
}
