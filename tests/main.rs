//! The one integration test binary: each room of the tests is a module.

#![forbid(unsafe_code)]

mod cli;
mod cluster;
mod dialects;
mod disks;
mod docs;
mod domain;
mod engine;
mod grpc;
mod mutants;
mod pages;
mod proof;
mod raft;
mod security;
mod server;
mod simulation;
mod support;
mod tidy;
