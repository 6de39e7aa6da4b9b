//! What signals ask for: the drain and a reload.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::base::{Drain, DrainPhase, FLUSH_TARGET};
use crate::telemetry::logs;

/// Follows SIGTERM, SIGINT and SIGQUIT: the first announces the drain, which `run.rs` then goes through, from handing over
/// the leadership to the end; the second ends the process at once.
pub fn drain_on_signals(drain: Drain) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = quit.recv() => "SIGQUIT",
            };
            if drain.has_reached(DrainPhase::Announced) {
                tracing::warn!(target: FLUSH_TARGET, signal = name, "second {name}: ending at once");
                std::process::exit(1);
            }
            tracing::info!(signal = name, "{name}: finishing the requests in flight; another one ends at once");
            drain.enter(DrainPhase::Announced);
        }
    });
    Ok(())
}

/// Asks all listeners to read their files again, and the log to open its file anew. Clones share it.
#[derive(Clone, Debug)]
pub struct Reload(Arc<watch::Sender<()>>);

impl Default for Reload {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Reload {
    /// Changes with each SIGHUP from now on.
    pub fn requests(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }

    /// Follows SIGHUP, which would end the process otherwise.
    pub fn follow_hangups(&self) -> std::io::Result<()> {
        let mut hangups = signal(SignalKind::hangup())?;
        let reload = self.clone();
        tokio::spawn(async move {
            while hangups.recv().await.is_some() {
                logs::reopen();
                tracing::info!("SIGHUP: certificates and keys are read again, a log file is opened anew");
                reload.0.send_replace(());
            }
        });
        Ok(())
    }
}
