//! The lock service: commands go through the log to the table, and answers come back when they are applied.
//!
//! ```text
//! requests ─► command_queue ─► proposer ─► raft ─► state_machine ─► table_host ─► answers
//!                                  │                    └─► events, digests
//!                                  └─ forwarded to the leader (messages, peer_service)
//! ```
//! Other rooms see [`Engine`] and the types re-exported here. What may not live here: HTTP, dialects, pages, and the
//! consensus library, which is `raft`'s.

mod backup;
mod cluster_clock;
mod cluster_facade;
pub mod cluster_options;
mod command_queue;
mod contention;
mod digests;
mod disk_space;
mod error;
pub mod events;
mod facade;
mod insight;
mod members;
mod messages;
mod options;
mod parts;
mod peer_service;
mod proposer;
mod reads;
mod requests;
mod start;
mod state_machine;
mod table_host;
#[cfg(test)]
mod test_node;

pub use backup::{Backup, BackupCounts, BackupError, RestoreOptions, backup_reader, backup_writer, check, restore};
pub use cluster_options::ClusterOptions;
pub use contention::{Contention, ContentionOrder, ContentionRow, Counts, SlowTimes, WINDOW};
pub use error::{EngineError, Fault};
pub use facade::Engine;
pub use members::{ClusterView, MemberRole, MemberView, check_address};
pub use options::{EngineOptions, Pace, StorageOptions};
pub use parts::Overview;
pub use reads::{Consistency, LockPage, PageLimit, RankedPage, SessionPage};
pub use requests::{Changed, GrantGuard, Granted, Released, Renewed};
pub use table_host::{EndedHold, Stats};

pub use crate::raft::{Accept, MemberError, NodeStartError, NodeState, PeerFiles};
