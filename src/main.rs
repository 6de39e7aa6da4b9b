//! Entry point: parse, dispatch, exit code. Everything else lives in the library.

use std::process::ExitCode;

use clap::Parser;
use latchd::cli;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
