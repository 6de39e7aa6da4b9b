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

mod applied_ids;
mod begin;
mod codec;
#[cfg(test)]
mod codec_tests;
mod dir;
mod error;
mod fatal;
mod forming;
mod hand_over;
mod log_check;
#[cfg(test)]
mod log_check_tests;
mod log_disk;
mod log_memory;
mod members;
mod meters;
mod node;
mod options;
mod peers;
mod position;
mod presence;
mod pulse;
mod room;
mod runtime;
mod seed;
mod simulated;
mod slow_disk;
mod snapshot_dir;
mod snapshot_file;
#[cfg(test)]
mod snapshot_tests;
mod snapshotting;
mod standing;
mod state_machine;
mod store_id;
#[cfg(test)]
mod store_tests;
mod stores;
mod types;
mod unsynced;
mod watching;

use std::io;

pub use dir::free_bytes;
pub use error::{CallError, MembershipError, NodeStartError, ProposeError, ReadError, TransferError};
pub use node::RaftNode;
pub use options::{Accept, BoxFuture, PeerOptions, PeerService, RaftOptions, Store};
pub use peers::{
    Arrival, ByteStream, Handshake, Incoming, PeerCertificate, PeerFiles, Stream, TlsTransport, Transport,
    TransportError,
};
pub use seed::bootstrap_from_snapshot;
pub use simulated::SimulatedDisk;
pub use standing::{DivergedNode, NodeState, RemovedNode, WipedNode};

/// What the log drives.
pub trait Machine: Send + 'static {
    /// Applies the committed entry at `index`. Called in log order from one task; must not panic.
    fn apply(&mut self, index: u64, payload: &[u8]);

    /// A consistent view, cheap to take; it is encoded later on another thread while `apply` goes on.
    fn freeze(&self) -> Box<dyn Frozen>;

    /// Replaces the state by the one that `snapshot` holds: that after the entry at `index`.
    fn restore(&mut self, index: u64, snapshot: &mut dyn io::Read) -> Result<(), String>;
}

/// A state that no longer changes.
pub trait Frozen: Send {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()>;
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

/// One node of the cluster, as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub node: u64,
    /// Empty where a node that runs alone has never been told its own.
    pub address: String,
    pub voter: bool,
    /// Up to where its log is known to be the leader's; known on the leader only.
    pub matched_index: Option<u64>,
}
