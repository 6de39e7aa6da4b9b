//! The consensus room: a replicated log that drives a [`Machine`]. Only this room names openraft and the log crate.
//!
//! ```text
//! propose ─► openraft ─► log (disk: append + fdatasync, or memory) ─► followers (peers)
//!                │
//!                └─ committed ─► state machine ─► Machine::apply
//!                                     └─ freeze ─► snapshot file, then the log before it is purged
//! ```
//! [`RaftNode`] (`node.rs`) is a running node, and `start.rs` composes its parts, each of which owns its state: `log`,
//! `snapshot`, `data_dir` and `storage` keep the data of one node, `state_machine` applies it, `election`, `membership` and
//! `bootstrap` decide who leads and who belongs to the cluster, and `peers` connects the nodes. `standalone` takes the place
//! of openraft and all of these on a node without peers. `interface.rs` is what a user of this room implements: a caller may
//! hand in a [`StableStore`] and a [`Transport`] of its own, as the simulation in `tests/` does.
//!
//! This room knows nothing of locks: the payload of a log entry is a byte string, and what the bytes mean must not live
//! here.
#![allow(clippy::result_large_err, reason = "openraft's errors are large, and each of them ends the process")]

mod bootstrap;
mod codec;
#[cfg(test)]
mod codec_tests;
mod data_dir;
mod election;
mod error;
mod interface;
mod leadership;
mod log;
mod measurements;
mod membership;
mod monitors;
mod node;
mod options;
mod peers;
mod proposals;
mod runtime;
mod snapshot;
mod standalone;
mod start;
mod state_machine;
mod storage;
#[cfg(test)]
mod storage_tests;
mod types;

pub use bootstrap::bootstrap_from_snapshot;
pub use data_dir::directory::free_bytes;
pub use error::{MemberError, MembershipError, NodeStartError, ProposeError, ReadError, TransferError};
pub use interface::{
    AcceptedConnection, ByteStream, Frozen, Handshake, Incoming, LogChange, Machine, PeerService, StableStore,
    StoredEntry, StoredLog, Stream, Transport,
};
pub use leadership::Leadership;
pub use measurements::Progress;
pub use membership::changes::Member;
pub use membership::node_state::NodeState;
pub use node::RaftNode;
pub use options::{Accept, PeerOptions, RaftOptions, Store};
pub use peers::certificate::PeerCertificate;
pub use peers::connection::RequestError;
pub use peers::tls::{PeerFiles, TlsTransport, TransportError};
pub use standalone::EntrySource;
