//! The lock table through its public API.
//!
//! Each test shows one rule, with the helpers of [`kit`].

mod arbitrary;
mod blocking;
mod bursts;
mod cancels;
mod deadlocks;
mod delays;
mod delivery;
mod duplicates;
mod elections;
mod formats;
mod freezes;
mod from_backup;
mod fuzzed;
mod golden;
mod golden_freezes;
mod history;
mod idempotency;
pub mod kit;
mod kit_modes;
mod leaders;
mod leadership;
mod levels;
mod limits;
mod marks;
pub mod model;
mod model_cases;
mod modes;
mod names;
mod nodes;
mod queue;
mod reentry;
mod releases;
mod remembered_sizes;
mod renewals;
mod resizes;
mod retries;
mod sessions;
mod sizes;
mod snapshots;
mod tokens;
mod transfers;
mod upgrades;
mod usage;
mod waiters;
