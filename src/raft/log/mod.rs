//! The log, on disk or in memory.

pub mod check;
#[cfg(test)]
mod check_tests;
pub mod disk;
pub mod memory;
pub mod position;
pub mod slow_disk;
