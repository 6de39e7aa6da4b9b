//! Room on the data disk: new grants are refused before the log and its snapshots would not fit any more.

use super::core::Core;
use super::error::EngineError;
use super::face::Engine;
use crate::raft::free_bytes;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// How often the free space of the data disk is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub struct Space {
    pub dir: PathBuf,
    pub min_free_bytes: u64,
    pub nearly_full: Arc<AtomicBool>,
}

impl Space {
    /// Looks from now on, for as long as the engine lives.
    pub fn begin(self, core: &Arc<Core>, stopped: watch::Receiver<bool>) {
        self.look(core);
        tokio::spawn(self.watch(Arc::downgrade(core), stopped));
    }

    async fn watch(self, core: Weak<Core>, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let Some(core) = core.upgrade() else { return };
            self.look(&core);
        }
    }

    fn look(&self, core: &Core) {
        let free = match free_bytes(&self.dir) {
            Ok(free) => free,
            Err(error) => return tracing::warn!(%error, "the free space of the data disk cannot be read"),
        };
        let reserve = core.reserve_bytes(self.min_free_bytes);
        let full = free < reserve || core.raft.is_snapshot_unfit();
        if self.nearly_full.swap(full, Ordering::Relaxed) == full {
            return;
        }
        let configured = self.min_free_bytes;
        match full {
            true => tracing::error!(
                free,
                reserve,
                configured,
                "the data disk is nearly full: new locks are refused (storage.min_free_bytes, or more where a snapshot needs it)"
            ),
            false => tracing::info!(free, reserve, "the data disk has room again"),
        }
    }
}

impl Engine {
    /// New holds and sessions need a disk that can take them and a server that stays.
    pub(super) fn check_room(&self) -> Result<(), EngineError> {
        if self.0.ending.has_begun() {
            return Err(EngineError::ShuttingDown);
        }
        self.0.core.check_writable()?;
        if self.0.disk_nearly_full.load(Ordering::Relaxed) {
            return Err(EngineError::DiskNearlyFull);
        }
        Ok(())
    }
}

impl Core {
    /// Free space below which new grants are refused: what was configured, or what the next snapshot needs, if that is
    /// more.
    pub fn reserve_bytes(&self, configured: u64) -> u64 {
        if crate::mutants::on("reserve-as-configured") { configured } else { configured.max(self.raft.reserve_bytes()) }
    }

    /// Refuses what cannot be written.
    pub fn check_writable(&self) -> Result<(), EngineError> {
        if self.raft.is_disk_full() { Err(EngineError::DiskFull) } else { Ok(()) }
    }

    /// Whether nothing can change: the disk is full, and there is no other node. Then time stands still too.
    pub fn stands_still(&self) -> bool {
        let stands_still = self.raft.is_disk_full() && self.raft.has_no_peers();
        if stands_still {
            self.clock.resume_at(self.host.table().now());
        }
        stands_still
    }
}
