//! Clusters and single nodes in simulated time: the real engine and consensus on a network, disks and clocks that follow from
//! a seed.
//!
//! `world.rs` drives nodes (`node.rs`), network (`network.rs`) and clients (`client.rs`, `workload.rs`) step by step on
//! one thread, and `invariants.rs` looks at every table after each step; `faults.rs` and `members.rs` inject faults; `freezer.rs` freezes names; the checkers are those of `tests/cluster`. `SIM_SEED=N` replays one
//! seed, `SIM_SEEDS=N` runs so many of them, from `SIM_FROM` on.
//!
//! Everything in `src/engine` and openraft runs as in production; the transport, the disk, the clocks and the randomness
//! are ours. Not covered are the log on a real disk, TLS, HTTP and the operating system: `tests/cluster` and
//! `tests/proof` have those.

mod call_log;
mod client;
mod conversion;
mod directed;
pub mod disk;
mod endpoints;
mod event;
pub mod faults;
mod forger;
mod freezer;
mod frozen;
mod invariants;
mod link_conditions;
mod members;
mod network;
mod node;
mod planted;
mod requests;
pub mod run;
pub mod seeds;
mod stream;
mod trace;
mod workload;
mod world;
