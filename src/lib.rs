//! latchd: one lock table behind several wire dialects.
//!
//! ```text
//! cli ──► server ──► dialects, status ──► engine ──► domain   the lock table, pure
//!  │        │             │                 └─────► raft     the replicated log; knows no locks
//!  │        └► access     └► access        (who may do what)
//!  ├► config   every key, layered: defaults, file, environment, flags
//!  ├► client   the Rust client that the command line and the tests use
//!  ├► telemetry   logs and metrics, set up once
//!  └► base     clock, randomness, histograms: the ground floor
//! ```
//! Arrows point at what a room may import; `tests/tidy.rs` enforces them.

#![forbid(unsafe_code)]

// Tests of the library share files with those in `tests/`, which know it by its name.
#[cfg(test)]
extern crate self as latchd;

pub mod access;
pub mod api;
pub mod base;
pub mod cli;
pub mod client;
pub mod config;
pub mod dialects;
pub mod domain;
pub mod engine;
pub mod http;
pub mod mutants;
pub mod raft;
pub mod server;
pub mod status;
pub mod telemetry;
