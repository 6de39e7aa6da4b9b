//! Tests of the consensus room, `src/raft`.

mod abort;
mod authorization;
mod bootstrap;
mod catch_up;
mod corruption;
mod failover;
mod former_leader;
pub mod impostor;
mod log;
mod lost_end;
pub mod network;
mod snapshot;
mod standalone;
mod stores;
pub mod support;
mod tls;
