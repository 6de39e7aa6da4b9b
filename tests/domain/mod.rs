//! The lock table through its public API.
//!
//! Each test shows one rule, with the helpers of [`kit`].

mod arbitrary;
mod bursts;
mod cancels;
mod delivery;
mod duplicates;
mod formats;
mod from_backup;
mod fuzzed;
mod golden;
mod idempotency;
pub mod kit;
mod leadership;
mod levels;
mod limits;
pub mod model;
mod nodes;
mod queue;
mod reentry;
mod releases;
mod remembered_sizes;
mod renewals;
mod retries;
mod sessions;
mod sizes;
mod snapshots;
mod tokens;
mod usage;
mod waiters;
