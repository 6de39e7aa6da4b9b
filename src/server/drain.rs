//! The phases of a shutdown, which `leave.rs` goes through, and the signals that start it.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::base::FLUSH_TARGET;

/// Whether the process is on its way out. Clones share the state.
#[derive(Clone, Debug)]
pub struct Drain {
    phase: Arc<watch::Sender<Phase>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Phase {
    Serving,
    /// Everything is served, and every answer asks its client to connect anew, which is elsewhere.
    Leaving,
    /// New connections are not taken any more; what is connected is served.
    TurningAway,
    /// No connection is taken, idle ones are closed.
    Closing,
}

impl Default for Drain {
    fn default() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Serving)) }
    }
}

impl Drain {
    /// Announces the end. Calling it again changes nothing.
    pub fn leave(&self) {
        self.reach(Phase::Leaving);
    }

    /// Lets no new connection begin, so that none is half open at the end.
    pub fn turn_away(&self) {
        self.reach(Phase::TurningAway);
    }

    /// Begins the end itself: connections are closed when their requests are finished.
    pub fn begin(&self) {
        self.reach(Phase::Closing);
    }

    fn reach(&self, phase: Phase) {
        self.phase.send_modify(|now| *now = phase.max(*now));
    }

    /// Whether the end was announced.
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() >= Phase::Leaving
    }

    /// Whether the end has begun.
    pub fn is_closing(&self) -> bool {
        *self.phase.borrow() == Phase::Closing
    }

    /// Completes when the end is announced, or at once if it was.
    pub async fn left(&self) {
        self.reached(Phase::Leaving).await;
    }

    /// Completes when new connections are to be turned away, or at once if they are.
    pub async fn turned_away(&self) {
        self.reached(Phase::TurningAway).await;
    }

    /// Completes when the end begins, or at once if it has.
    pub async fn begun(&self) {
        self.reached(Phase::Closing).await;
    }

    async fn reached(&self, phase: Phase) {
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Follows SIGTERM, SIGINT and SIGQUIT: the first announces the end, the second ends the process at once.
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
                if drain.is_draining() {
                    tracing::warn!(target: FLUSH_TARGET, signal = name, "second {name}: ending at once");
                    std::process::exit(1);
                }
                tracing::info!(signal = name, "{name}: finishing the requests in flight; another one ends at once");
                drain.leave();
            }
        });
        Ok(())
    }
}
