//! Wakes the subscriptions when there may be something new.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Between two rounds of waking: events in between are passed on together.
const PAUSE: Duration = Duration::from_millis(2);

#[derive(Clone)]
pub struct Notifier {
    grown: Arc<Notify>,
    /// Whether nothing more will come.
    ended: watch::Sender<bool>,
}

impl Notifier {
    pub fn new() -> Notifier {
        Notifier { grown: Arc::default(), ended: watch::Sender::new(false) }
    }

    /// There may be something new.
    pub fn notify(&self) {
        self.grown.notify_one();
    }

    /// Nothing more will come.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Whether nothing more will come; changes whenever there may be something new.
    pub fn subscribe(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    /// Wakes the subscriptions after each [`Notifier::notify`]. Runs until it is aborted.
    pub async fn run(self) {
        loop {
            self.grown.notified().await;
            self.ended.send_modify(|_| {});
            tokio::time::sleep(PAUSE).await;
        }
    }
}
