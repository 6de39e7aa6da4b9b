//! Entry point: parse, dispatch, exit code. Everything else lives in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use latchd::cli;

/// Requests are short-lived small allocations on all threads, and a million holds are small ones for long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
