//! The command line of the benchmark.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// Measures latchd beside a bare HTTP echo.
///
/// Without options it takes about a quarter of an hour and prints every row.
#[derive(Parser)]
pub struct Arguments {
    #[command(subcommand)]
    pub mode: Option<Mode>,

    /// Which parts to run.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,

    /// Clients of the uncontended rows, one keep-alive connection each.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256")]
    pub clients: Vec<usize>,

    /// Interleaved passes over the rows; medians are printed.
    #[arg(long, default_value_t = 5)]
    pub passes: usize,

    /// Measured seconds of each row in each pass.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,

    /// Seconds of the same load before each measurement.
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,

    /// Only these storages and transports: memory, durable, plain, tls.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Row>,

    /// Locks that are held at once in the part `held`, cycles that are done in the part `history`.
    #[arg(long, default_value_t = 1_000_000)]
    pub count: usize,

    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
pub enum Mode {
    /// Serves the bare echo (the benchmark starts it by itself).
    #[command(hide = true)]
    Echo { certificate: PathBuf, key: PathBuf },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Lock and unlock of random uncontended names.
    Cycles,
    /// The same over the Redis protocol, beside Redis.
    Redis,
    /// The same over gRPC, beside HTTP.
    Grpc,
    /// One name that a part of the clients share, and several names at once.
    Modes,
    /// One lock, eight clients that wait for it.
    Handoff,
    /// Memory per held lock, a snapshot of them, their expiry in one burst.
    Held,
    /// Grants beside ten thousand freezes.
    Freezes,
    /// The console's page of locks over a hundred thousand of them.
    Console,
    /// What many cycles leave behind on disk, and the start after them.
    History,
    /// The lock table alone, in the process of the benchmark.
    Apply,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Row {
    Memory,
    Durable,
    Plain,
    Tls,
}

impl Arguments {
    /// Whether a part was asked for.
    pub fn part(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    /// Whether a storage (or transport) was asked for, given the other of its kind.
    pub fn row(&self, row: Row) -> bool {
        let other = match row {
            Row::Memory => Row::Durable,
            Row::Durable => Row::Memory,
            Row::Plain => Row::Tls,
            Row::Tls => Row::Plain,
        };
        self.only.contains(&row) || !self.only.contains(&other)
    }
}
