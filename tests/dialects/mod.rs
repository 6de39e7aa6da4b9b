//! The ten wire dialects over real sockets: common behaviour, that of each, and refusals.

mod access;
mod bad_input;
mod common;
mod cross;
mod cut_off;
mod declared;
pub mod dialect_client;
mod get_lock;
mod grpc_dialect_client;
mod hang_ups;
mod limits;
mod lock_by_name;
mod lock_unlock;
mod redis;
mod redis_ends;
pub mod redis_fuzzed;
mod redis_holds;
mod redis_wire;
mod session_ends;
mod sessions_v1;
mod sessions_v1_modes;
mod sessions_v1_sessions;
mod strict;
mod terraform;
mod terraform_client;
mod waiting;
