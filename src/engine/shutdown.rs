//! The end of this process: first announced to probes, then begun.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

#[derive(Default)]
pub struct Shutdown {
    announced: AtomicBool,
    begun: AtomicBool,
    notify: Notify,
}

impl Shutdown {
    /// This node is not ready any more, and still serves everything.
    pub fn announce(&self) {
        self.announced.store(true, Ordering::Release);
    }

    pub fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Acquire)
    }

    pub fn begin(&self) {
        self.announce();
        self.begun.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Resolves when it begins, or at once if it has.
    pub async fn begun(&self) {
        // Taken before the check, so that a beginning in between is not missed.
        let notified = self.notify.notified();
        if !self.has_begun() {
            notified.await;
        }
    }
}
