//! The engine and the log below it.

mod raft_log;
mod raft_support;
mod service;
