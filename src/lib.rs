//! latchd: one lock table behind several wire dialects.
//!
//! `ARCHITECTURE.md` has the rooms and what each may import; `tests/tidy/` enforces it.

#![forbid(unsafe_code)]

// Tests of the library share files with those in `tests/`, which know it by its name.
#[cfg(test)]
extern crate self as latchd;

pub mod access;
pub mod api;
pub mod audit;
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
