//! Whether the data disk takes what is to be written, asked before that is tried: a process that a full disk has ended
//! would be ended by it at every restart, and a snapshot that does not fit must leave the log what it needs.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use tokio::sync::watch;

use crate::mutants::planted;
use crate::raft::data_dir::directory::free_bytes;

/// What the log must be able to write before it is opened for writing: more than any one entry.
const LOG_BYTES: usize = 512 << 10;
/// What a snapshot leaves for the log that goes on beside it.
const LEFT_BYTES: u64 = 2 << 20;
const CHECK_AGAIN: Duration = Duration::from_millis(500);
const PROBE: &str = "room.tmp";

/// Whether the error says that something does not fit, and nothing worse.
pub fn does_not_fit(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// What the log of one process knows of its disk.
#[derive(Debug, Default)]
pub struct DiskSpace {
    /// There was enough once: from then on each write tells by itself.
    found: AtomicBool,
    full: watch::Sender<bool>,
    closing: watch::Sender<bool>,
}

/// The node ends while its log waits for room: nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("the node ends, and its disk is full")]
pub struct Closing;

impl DiskSpace {
    /// Looks once, at the start of a process.
    pub fn check(&self, dir: &Path) {
        if self.found.load(Relaxed) {
            return;
        }
        let full = match probe(dir) {
            _ if planted!("full-disk-written") => false,
            // The limit of one file says nothing of the disk.
            Err(error) if does_not_fit(&error) && error.kind() != io::ErrorKind::FileTooLarge => {
                self.tell(dir, &error);
                true
            }
            // Any other error the write itself will tell.
            Ok(()) | Err(_) => false,
        };
        self.found.store(!full, Relaxed);
        if self.full.send_replace(full) && !full {
            tracing::info!(dir = %dir.display(), "the data disk has room again: the log is written");
        }
    }

    fn tell(&self, dir: &Path, error: &io::Error) {
        if !*self.full.borrow() {
            tracing::error!(
                %error, dir = %dir.display(),
                "the data disk is full: only what needs no disk is served, until there is room (storage.min_free_bytes)"
            );
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
                () = tokio::time::sleep(CHECK_AGAIN) => {}
            }
        }
    }

    /// Whether the log waits for room.
    pub fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    pub async fn available(&self) {
        // The sender is part of this value: waiting cannot fail.
        drop(self.full.subscribe().wait_for(|full| *full).await);
    }

    /// Nobody waits for room any more.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}

/// Takes the room and gives it back: what the file system says of itself leaves out quotas.
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

/// Refuses what would leave the log without room.
pub fn check_spares(dir: &Path, bytes: usize) -> io::Result<()> {
    match free_bytes(dir)? < bytes as u64 + LEFT_BYTES {
        true => Err(io::Error::new(io::ErrorKind::StorageFull, "it would leave no room for the log")),
        false => Ok(()),
    }
}
