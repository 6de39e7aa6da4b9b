//! Snapshots: when they are taken, their file format, and where they are kept.

pub mod builder;
pub mod directory;
pub mod file;
#[cfg(test)]
mod file_tests;
pub mod kept;
pub mod policy;
pub mod scheduler;
mod sparing_file;
pub mod store;
