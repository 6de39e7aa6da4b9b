//! The data directory: its lock, its layout and its identity, and whether it is still there and has space.
//!
//! What may not live here: the formats of the log and of snapshots, which have modules of their own.

pub mod directory;
pub mod removal;
pub mod space;
pub mod store_id;
