//! The log, on disk or in memory.

pub mod check;
#[cfg(test)]
mod check_tests;
pub mod disk;
pub mod format;
pub mod memory;
pub mod monitor;
pub mod position;
mod range;
