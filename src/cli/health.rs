//! `latchd health`: for containers and probes.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Failure, told};
use crate::client::{Client, Trust};

/// A probe that takes longer is a failed one.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Health {
    /// Where the service is
    #[arg(long, value_name = "URL", env = "LATCHD_URL", default_value = "https://127.0.0.1:8443")]
    url: String,
    /// PEM file with the authority of the service's certificate; without it the system's are trusted, and on this
    /// machine also a self-signed certificate
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  latchd health
  latchd health --url https://locks.example.org:8443 --ca /etc/ssl/ours.pem
  LATCHD_URL=http://127.0.0.1:8080 latchd health";

impl Health {
    pub fn run(self) -> Result<(), Failure> {
        let trust = self.ca.map_or(Trust::AnyOnLoopback, Trust::Authority);
        let client = Client::builder(&self.url).map_err(told)?.trust(trust).timeout(TIMEOUT).build().map_err(told)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
        runtime.block_on(client.ready()).map_err(|error| format!("not ready: {error}"))?;
        println!("{} is ready", self.url);
        Ok(())
    }
}
