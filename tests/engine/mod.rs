//! The engine and the log below it.

mod cluster_of_one;
mod comparing;
mod events;
mod events_across_nodes;
mod events_kit;
mod levels;
mod raft_abort;
mod raft_catch_up;
mod raft_corruption;
mod raft_damage;
mod raft_failover;
mod raft_former_leader;
mod raft_forming;
pub mod raft_impostor;
mod raft_log;
mod raft_lost_end;
mod raft_seed;
mod raft_snapshot;
pub mod raft_support;
pub mod raft_switchboard;
mod raft_tls;
mod raft_trust;
mod refusals;
mod restoring;
mod restoring_crafted;
mod service;
