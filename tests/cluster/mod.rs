//! Clusters of real processes under load and faults, and checks of what their clients saw.
//!
//! `fleet.rs` starts nodes (`node.rs`), each in a network namespace of its own (`network.rs`); clients (`client.rs`,
//! `conversion.rs`, `tries.rs`, `workload.rs`) ask for locks (`target.rs`, `choices.rs`) and record every call and answer
//! (`history.rs`); `faults.rs` injects faults meanwhile; `checks/` checks the history. `PROOF_SEED` repeats the choices of a
//! run; the history of every run stays in `target/tmp/histories`.

pub mod authority;
mod balancer;
mod balancers;
mod binary;
mod bodies;
mod certificates;
pub mod checks;
pub mod choices;
mod client;
pub mod conversion;
mod counter;
mod departures;
mod dialects;
pub mod disk;
mod elections;
mod events;
mod failover;
pub mod faults;
pub mod fleet;
mod followers;
mod full_disk;
pub mod history;
mod membership;
mod metrics;
mod metronome;
mod network;
mod node;
mod older_release;
mod power;
mod removal;
mod retries;
pub mod run;
pub mod scenarios;
mod slow_leader;
pub mod soak;
mod speaker;
mod states;
pub mod target;
pub mod tries;
mod wire;
mod workload;
