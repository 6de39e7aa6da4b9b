//! The data directory: its lock, its layout, its identity, and watches on whether it is still there and has room.

pub mod directory;
pub mod quarantine;
pub mod removal;
pub mod space;
pub mod store_id;
