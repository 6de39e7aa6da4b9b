//! The word that this process is about to end: looked at by every request, awaited by answers that have no end. Probes
//! hear of it first.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

#[derive(Default)]
pub struct Ending {
    announced: AtomicBool,
    begun: AtomicBool,
    told: Notify,
}

impl Ending {
    /// Everything is served still.
    pub fn announce(&self) {
        self.announced.store(true, Ordering::Release);
    }

    pub fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Acquire)
    }

    pub fn begin(&self) {
        self.announce();
        self.begun.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Completes when it begins, or at once if it has.
    pub async fn begun(&self) {
        // Taken before the look, so that a beginning in between is not missed.
        let told = self.told.notified();
        if !self.has_begun() {
            told.await;
        }
    }
}
