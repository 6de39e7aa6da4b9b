//! One process from its configuration to its end.

use std::io::Write;
use std::sync::Arc;

use super::drain::Drain;
use super::probes;
use super::serve::{Listening, StartError};
use crate::config::Config;
use crate::engine::clock;
use crate::telemetry::Metrics;

/// Serves until a signal ends it and its requests are finished.
pub async fn run(config: Config) -> Result<(), StartError> {
    let metrics = Arc::new(Metrics::default());
    let drain = Drain::default();
    drain.follow_signals().map_err(StartError::Runtime)?;
    let listening = Listening::open(&config)?;
    let router = probes::routes(drain.clone(), Arc::clone(&metrics), || true, |_| {});
    announce(&listening.line());
    listening.serve(router, metrics, drain, clock::process_age).await.map_err(StartError::Runtime)
}

/// The one line on stdout. Who reads it may be gone, and that is no reason to stop.
fn announce(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
