//! The one integration test binary: each room of the tests is a module.

mod cli;
mod dialects;
mod domain;
mod engine;
mod server;
mod pages;
mod support;
mod tidy;
