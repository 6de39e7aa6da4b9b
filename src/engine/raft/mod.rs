//! A replicated log that drives a [`Machine`]: the only place that names openraft and the log crate.
//!
//! ```text
//! propose ─► openraft ─► log (disk: append + fdatasync, or memory)
//!                │
//!                └─ committed ─► state machine ─► Machine::apply
//!                                     └─ freeze ─► snapshot file, then the log before it is purged
//! ```
//! This room knows nothing of locks: an entry is a byte string. What may not live here: what those bytes mean.
#![allow(clippy::result_large_err, reason = "openraft's errors are large, and each of them ends the process")]

mod codec;
#[cfg(test)]
mod codec_tests;
mod dir;
mod fatal;
mod log_check;
#[cfg(test)]
mod log_check_tests;
mod log_disk;
mod log_memory;
mod meters;
mod network;
mod node;
mod snapshot_dir;
mod snapshot_file;
#[cfg(test)]
mod snapshot_tests;
mod state_machine;
#[cfg(test)]
mod store_tests;
mod stores;
mod types;

use std::io;
use std::path::{Path, PathBuf};

pub use dir::free_bytes;
pub use node::RaftNode;

/// What the log drives.
pub trait Machine: Send + 'static {
    /// Applies one committed entry. Called in log order from one task; must not panic.
    fn apply(&mut self, payload: &[u8]);

    /// A consistent view, cheap to take; it is encoded later on another thread while `apply` goes on.
    fn freeze(&self) -> Box<dyn Frozen>;

    /// Replaces the state by the one that `snapshot` holds.
    fn restore(&mut self, snapshot: &mut dyn io::Read) -> Result<(), String>;
}

/// A state that no longer changes.
pub trait Frozen: Send {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()>;
}

/// Where the log and the snapshots are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Gone with the process.
    Memory,
    /// `fsync: false` answers before the disk has the data and exists to show that a power loss is then noticed.
    Disk { dir: PathBuf, fsync: bool },
}

/// How a node is started.
#[derive(Debug, Clone)]
pub struct RaftOptions {
    pub node_id: u64,
    pub store: Store,
    /// A snapshot is taken when the log since the last one is larger than this and than that snapshot.
    pub snapshot_log_bytes: u64,
}

impl RaftOptions {
    pub const DEFAULT_SNAPSHOT_LOG_BYTES: u64 = 8 << 20;

    pub fn new(node_id: u64, store: Store) -> Self {
        Self { node_id, store, snapshot_log_bytes: Self::DEFAULT_SNAPSHOT_LOG_BYTES }
    }
}

/// Who leads, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    pub is_leader: bool,
    pub term: u64,
    pub leader: Option<u64>,
}

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub last_log_index: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
    /// Bytes applied since the last snapshot, which is about what the log occupies.
    pub log_bytes: u64,
}

/// Why an entry was not (or perhaps not) applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not proposed: another node leads.
    #[error("this node does not lead")]
    NotLeader { leader: Option<u64> },
    /// Not proposed: nobody leads at the moment.
    #[error("no quorum: nothing was proposed")]
    NoQuorum,
    /// Handed to the log; whether it will be applied was not seen.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// Not proposed.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// Not proposed: the log cannot be written.
    #[error("the log cannot be written")]
    StorageFailed,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "the data directory {} is in use by another process: stop that process, or start this one with another \
         directory", dir.display()
    )]
    InUse { dir: PathBuf },
    #[error(
        "the data directory {} has format {found}, this build reads format {supported}: start the version that \
         wrote it, or use another directory", dir.display()
    )]
    OtherFormat { dir: PathBuf, found: u64, supported: u64 },
    #[error(
        "{} is damaged at byte {offset}: {reason}. Nothing was changed. Restore the data directory from a copy, or \
         move it away to start empty, which gives up every lock held now", file.display()
    )]
    Damaged { file: PathBuf, offset: u64, reason: String },
    #[error(
        "the data directory belongs to node {found:?}, this is node {node_id}: set node_id, or use another directory"
    )]
    OtherNode { node_id: u64, found: Vec<u64> },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the log engine did not start: {0}")]
    Engine(String),
}

impl StartError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    fn damaged(file: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), offset, reason: reason.into() }
    }

    /// Wrong content is damage; a file that cannot be read at all is not.
    fn unreadable(file: &Path, offset: u64, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::damaged(file, offset, error.to_string()),
            _ => Self::io(file, error),
        }
    }
}
