//! `latchd health`: for containers and probes.

use std::time::Duration;

use clap::Args;

use super::Failure;
use super::connect::{Connect, block_on};

/// A probe that takes longer is a failed one.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Health {
    #[command(flatten)]
    connect: Connect,
}

const EXAMPLES: &str = "Examples:
  latchd health
  latchd health --url https://locks.example.org:8443 --ca /etc/ssl/ours.pem
  LATCHD_URL=http://127.0.0.1:8080 latchd health";

impl Health {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(TIMEOUT)?;
        let url = self.connect.url()?;
        block_on(async { client.ready().await.map_err(|error| format!("not ready: {error}")) })?;
        println!("{url} is ready");
        Ok(())
    }
}
