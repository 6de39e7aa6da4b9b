//! The command line of the benchmark.

use clap::Parser;

#[derive(Debug, Parser)]
pub struct Arguments {
    /// Numbers of clients to measure with
    #[arg(long, value_delimiter = ',', default_values_t = [16, 64, 256])]
    pub clients: Vec<usize>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 8.0)]
    pub seconds: f64,
    /// Seconds of load before each measurement
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Measure one of the two alone
    #[arg(long, value_enum)]
    pub only: Option<Which>,
    /// Cargo passes this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    Latchd,
    Etcd,
}
