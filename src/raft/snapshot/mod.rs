//! Snapshots: when they are taken, their file format, and the directory that keeps them.

pub mod directory;
pub mod file;
#[cfg(test)]
mod file_tests;
pub mod scheduler;
