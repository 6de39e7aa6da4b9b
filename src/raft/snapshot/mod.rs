//! Snapshots: when they are taken, their file format, and where they are kept.

pub mod directory;
pub mod file;
pub mod policy;
pub mod store;
