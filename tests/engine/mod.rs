//! The engine and the log below it.

mod cluster_of_one;
mod raft_abort;
mod raft_damage;
mod raft_log;
mod raft_snapshot;
mod raft_support;
mod service;
