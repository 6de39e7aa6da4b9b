//! The end: readiness goes first, waiters are told, requests in flight finish, then the process ends.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the process is on its way out. Clones share the state.
#[derive(Clone, Debug)]
pub struct Drain {
    draining: Arc<watch::Sender<bool>>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { draining: Arc::new(watch::Sender::new(false)) }
    }
}

impl Drain {
    /// Begins the end. Calling it again changes nothing.
    pub fn begin(&self) {
        self.draining.send_replace(true);
    }

    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Completes when the end begins, or at once if it has.
    pub async fn begun(&self) {
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// Follows SIGTERM and SIGINT: the first begins the end, the second ends the process at once.
    pub fn follow_signals(&self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let drain = self.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if drain.is_draining() {
                    tracing::warn!(signal = name, "second {name}: ending at once");
                    std::process::exit(1);
                }
                tracing::info!(signal = name, "{name}: finishing the requests in flight; another one ends at once");
                drain.begin();
            }
        });
        Ok(())
    }
}
