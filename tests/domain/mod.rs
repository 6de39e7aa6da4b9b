//! The lock table, through its public face.
//!
//! One rule a test, written with the words of [`kit`].

mod arbitrary;
mod bursts;
mod cancels;
mod duplicates;
mod fuzzed;
mod golden;
mod kit;
mod leadership;
mod limits;
mod model;
mod queue;
mod reentry;
mod releases;
mod remembered_sizes;
mod renewals;
mod sessions;
mod sizes;
mod snapshots;
mod tokens;
