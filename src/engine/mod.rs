//! Drives the table: batches commands into log entries, stamps cluster time, wakes waiting requests.
//!
//! Upwards only [`Engine`] and the types of its face are seen. What may not live here: HTTP, dialects, pages; and
//! outside `raft/` nothing names the consensus library.

mod backup;
pub mod backup_file;
pub mod clock;
pub mod cluster;
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
mod first_start;
mod follow;
mod foreseen;
mod full_pools;
mod here;
mod histogram;
mod intake;
mod journal;
mod last_holds;
mod lead;
pub mod listing;
mod machine;
mod pending;
pub mod raft;
pub mod random;
mod restore;
mod room;
mod start;
mod state_digest;
mod stats;

pub use backup::Backup;
pub use cluster::{ClusterOptions, ClusterView, MemberError, MemberRole, MemberView, Simulation, check_address};
pub use delivery::Delivery;
pub use error::{EngineError, Fault};
pub use face::{Consistency, Engine, Granted, LockPage, Overview, Released, Renewed, SessionPage};
pub use histogram::Distribution;
pub use intake::BatchBounds;
pub use last_holds::LastHold;
pub use raft::{Accept, PeerFiles, Removed, Standing, StartError, Wiped};
pub use restore::{Contents, RestoreError, RestoreOptions, check, restore};
pub use start::EngineOptions;
pub use stats::Stats;
