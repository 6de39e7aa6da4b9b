//! Crashes under load: what was answered before is compared with what is there afterwards.
//!
//! Workers (`worker.rs`) note every grant and release that they were told of; `verify.rs` holds their notes
//! against the restarted server; `kill.rs` and `power.rs` are the two ways to crash. `lease.rs` looks at time instead,
//! `audit.rs` at what operators did. `PROOF_ROUNDS` and
//! `PROOF_SEED` make a run longer or repeat its choices.

mod audit;
mod calls;
mod crowd;
pub mod image;
mod kill;
mod lease;
mod power;
mod tokens;
mod verify;
mod worker;
