//! Gives a hold back if its answer cannot reach whoever asked for it.

use super::error::EngineError;
use super::machine::Shared;
use super::pending::Answer;
use crate::domain::{HoldKey, Name};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Takes the acquire back when dropped, unless its answer was delivered: while the request waits, after it was
/// granted, and until the answer is with the kernel.
#[must_use]
pub struct Delivery(Option<Box<Undelivered>>);

struct Undelivered {
    shared: Arc<Shared>,
    name: Name,
    key: HoldKey,
    receiver: Option<oneshot::Receiver<Answer>>,
}

impl Delivery {
    pub(super) fn new(shared: Arc<Shared>, name: Name, key: HoldKey, receiver: oneshot::Receiver<Answer>) -> Delivery {
        Delivery(Some(Box::new(Undelivered { shared, name, key, receiver: Some(receiver) })))
    }

    /// Waits for the outcome; whoever drops this while it waits, cancels.
    pub(super) async fn answered(mut self) -> (Delivery, Answer) {
        let answer = match self.0.as_mut().and_then(|undelivered| undelivered.receiver.as_mut()) {
            Some(receiver) => receiver.await.unwrap_or(Err(EngineError::OutcomeUnknown)),
            None => Err(EngineError::OutcomeUnknown),
        };
        (self, answer)
    }

    /// The answer is with the kernel: from here on the lease or the session ends the hold.
    pub fn delivered(mut self) {
        self.0 = None;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(mut undelivered) = self.0.take() {
            // First the receiver, then the cancel: `Intake::next` relies on this order.
            drop(undelivered.receiver.take());
            undelivered.shared.intake.cancel(undelivered.name.clone(), undelivered.key);
        }
    }
}
