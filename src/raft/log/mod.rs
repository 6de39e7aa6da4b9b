//! The log, on disk or in memory.

pub mod check;
#[cfg(test)]
mod check_tests;
pub mod disk;
mod index;
pub mod log_file;
mod log_files;
pub mod memory;
pub mod monitor;
pub mod node_log;
pub mod position;
mod range;
pub mod record;
pub mod writer;
