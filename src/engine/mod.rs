//! Drives the table: batches commands into log entries, stamps cluster time, wakes waiting requests.
//!
//! Upwards only [`Engine`] and the types of its face are seen. What may not live here: HTTP, dialects, pages; and
//! nothing that names the consensus library, which is `raft`'s.

mod answer;
mod backup;
pub mod backup_file;
pub mod cluster;
mod cluster_clock;
mod command_queue;
pub mod compare;
mod core;
mod delivery;
mod disk_space;
mod driver;
mod ending;
mod ends;
mod error;
pub mod events;
mod face;
mod first_token;
mod follow;
mod foreseen;
mod here;
mod lead;
pub mod listing;
mod restore;
mod room;
mod start;
mod state_digest;
mod state_machine;
mod table_host;
mod timings;

pub use backup::Backup;
pub use cluster::{ClusterOptions, ClusterView, MemberError, MemberRole, MemberView, check_address};
pub use delivery::Delivery;
pub use error::{EngineError, Fault};
pub use face::{Consistency, Engine, Granted, LockPage, Overview, Released, Renewed, SessionPage};

pub use crate::raft::{Accept, NodeStartError, NodeState, PeerFiles, RemovedNode, WipedNode};
pub use command_queue::BatchBounds;
pub use restore::{Contents, RestoreError, RestoreOptions, check, restore};
pub use start::EngineOptions;
pub use table_host::{EndedHold, FullLimitCounts, Stats};
