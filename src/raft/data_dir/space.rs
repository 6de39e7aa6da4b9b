//! Whether there is space on the data disk, checked before a write is tried: a process that a full disk has ended would end
//! at every restart, and a snapshot that does not fit must leave the log the space that it needs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use tokio::sync::watch;

use crate::mutants::planted;
use crate::raft::data_dir::directory::free_bytes;

/// The space that the log needs before it is opened for writing: more than any one entry.
const LOG_BYTES: usize = 512 << 10;
/// The space that a snapshot leaves for the log beside it.
const LEFT_BYTES: u64 = 2 << 20;
const RECHECK_DELAY: Duration = Duration::from_millis(500);
const PROBE: &str = "room.tmp";

/// Whether an error means only that something does not fit on the disk.
pub fn does_not_fit(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// What the log of one process knows about its disk.
#[derive(Debug, Default)]
pub struct DiskSpace {
    /// There was enough space once: from then on a write that fails ends the process.
    found: AtomicBool,
    full: watch::Sender<bool>,
    closing: watch::Sender<bool>,
}

/// The node ends while its log waits for space: nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("the node ends, and its disk is full")]
pub struct Closing;

impl DiskSpace {
    /// Probes the disk until it was found to have space once in this process.
    pub fn check(&self, dir: &Path) {
        if self.found.load(Relaxed) {
            return;
        }
        let full = match probe(dir) {
            _ if planted!("full-disk-written") => false,
            // A limit on the size of one file says nothing about the disk.
            Err(error) if does_not_fit(&error) && error.kind() != io::ErrorKind::FileTooLarge => {
                if !self.is_full() {
                    tracing::error!(
                        %error, dir = %dir.display(),
                        "the data disk is full: only requests that need no disk are served, until there is space \
                         (storage.min_free_bytes)"
                    );
                }
                true
            }
            // The write itself will report any other error.
            Ok(()) | Err(_) => false,
        };
        self.found.store(!full, Relaxed);
        if self.full.send_replace(full) && !full {
            tracing::info!(dir = %dir.display(), "the data disk has space again: the log is written");
        }
    }

    /// Waits until the log can be written, for the first time in this process.
    pub async fn wait(&self, dir: &Path) -> Result<(), Closing> {
        let mut closing = self.closing.subscribe();
        loop {
            self.check(dir);
            if self.found.load(Relaxed) {
                return Ok(());
            }
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => return Err(Closing),
                () = tokio::time::sleep(RECHECK_DELAY) => {}
            }
        }
    }

    /// Whether the log waits for space.
    pub fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    pub async fn until_full(&self) {
        // The sender is part of this value: waiting cannot fail.
        drop(self.full.subscribe().wait_for(|full| *full).await);
    }

    /// The log stops waiting for space.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}

/// Allocates the space and frees it again: what the file system reports as free leaves out quotas.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join(PROBE);
    let taken =
        File::create(&path).and_then(|mut file| match fallocate(&file, FallocateFlags::empty(), 0, LOG_BYTES as u64) {
            Err(rustix::io::Errno::OPNOTSUPP) => file.write_all(&[0; LOG_BYTES]),
            taken => taken.map_err(io::Error::from),
        });
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => taken.and(Err(error)),
        _ => taken,
    }
}

/// Refuses a write that would leave the log without space.
pub fn check_spares(dir: &Path, bytes: usize) -> io::Result<()> {
    match free_bytes(dir)? < bytes as u64 + LEFT_BYTES {
        true => {
            let left = LEFT_BYTES >> 20;
            let why = format!("it would leave less than {left} MiB of the disk for the log: free some space");
            Err(io::Error::new(io::ErrorKind::StorageFull, why))
        }
        false => Ok(()),
    }
}
