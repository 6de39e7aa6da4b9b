//! `latchd health`: for containers and probes.

use std::time::Duration;

use clap::Args;

use super::connect::{Connect, block_on, explain};
use super::{Failure, speech};

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
        // A probe knows good and bad, and other codes mean something else to some that probe.
        let bad = |failure: Failure| Failure::from(failure.message);
        let client = self.connect.client(TIMEOUT).map_err(bad)?;
        let url = self.connect.url().map_err(bad)?;
        block_on(async {
            let asked = client.ready().await.map_err(explain);
            asked.map_err(|failure| Failure::from(format!("not ready: {}", failure.message)))
        })?;
        speech::report(format!("{url} is ready\n"));
        Ok(())
    }
}
