//! How far the end of this process has come.

use std::sync::Arc;

use tokio::sync::watch;

/// The phase of the drain. Clones share it.
#[derive(Clone, Debug)]
pub struct Drain(Arc<watch::Sender<DrainPhase>>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DrainPhase {
    Serving,
    /// All requests are served, but this node is not ready, and every answer asks its client to reconnect, to another node.
    Announced,
    /// No connection begins any more, so that none is half open at the end; open ones are served.
    NotAccepting,
    /// No lock is granted and no wait goes on. Connections are closed when their requests are finished; idle ones at once.
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
}
