//! The consensus room.

mod abort;
mod catch_up;
mod corruption;
mod failover;
mod former_leader;
mod forming;
pub mod impostor;
mod log;
mod lost_end;
mod seed;
mod snapshot;
pub mod support;
pub mod switchboard;
mod tls;
mod trust;
