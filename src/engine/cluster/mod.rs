//! Several nodes: who is alive, what they forward, and what a reader must wait for.
//!
//! ```text
//! follower   intake ─► follow ──Forward──► leader's intake ─► lead ─► log
//!               ▲                                                   │
//!               └───────────── answered by its own apply ◄──────────┘
//! ```
//! What may not live here: decisions about locks, the consensus library.

mod members;
pub(super) mod nodes;
mod options;
pub(super) mod reads;
pub(super) mod removal;
pub(super) mod service;
pub mod wire;
mod wire_members;
#[cfg(test)]
mod wire_tests;

pub use members::{ClusterView, MemberError, MemberRole, MemberView, check_address};
pub use options::ClusterOptions;
