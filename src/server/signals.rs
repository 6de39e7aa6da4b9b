//! What signals ask for: the shutdown, in phases that `run.rs` goes through, and a reload.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::base::FLUSH_TARGET;
use crate::telemetry::logs;

/// How far the shutdown has come. Clones share the state.
#[derive(Clone, Debug)]
pub struct Drain(Arc<watch::Sender<DrainPhase>>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DrainPhase {
    Serving,
    /// All requests are served, and every answer asks its client to connect anew, which is elsewhere.
    Draining,
    /// No connection begins any more, so that none is half open at the end; open ones are served.
    NotAccepting,
    /// Connections are closed when their requests are finished; idle ones at once.
    Closing,
}

impl Default for Drain {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(DrainPhase::Serving)))
    }
}

impl Drain {
    /// Begins this phase, unless it or a later one has begun.
    pub fn enter(&self, phase: DrainPhase) {
        self.0.send_modify(|now| *now = phase.max(*now));
    }

    /// Whether this phase or a later one has begun.
    pub fn has_reached(&self, phase: DrainPhase) -> bool {
        *self.0.borrow() >= phase
    }

    /// Completes when this phase or a later one has begun.
    pub async fn reached(&self, phase: DrainPhase) {
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Follows SIGTERM, SIGINT and SIGQUIT: the first begins to drain, the second ends the process at once.
    pub fn follow_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        let drain = self.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                    _ = quit.recv() => "SIGQUIT",
                };
                if drain.has_reached(DrainPhase::Draining) {
                    tracing::warn!(target: FLUSH_TARGET, signal = name, "second {name}: ending at once");
                    std::process::exit(1);
                }
                tracing::info!(signal = name, "{name}: finishing the requests in flight; another one ends at once");
                drain.enter(DrainPhase::Draining);
            }
        });
        Ok(())
    }
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
                tracing::info!("SIGHUP: certificates are read again, a log file is opened anew");
                reload.0.send_replace(());
            }
        });
        Ok(())
    }
}
