//! Gives a hold back if its answer cannot reach whoever asked for it.

use super::answer::{Answer, AnswerReceiver};
use super::command_queue::CommandQueue;
use super::error::EngineError;
use crate::domain::{HoldKey, Name};
use std::sync::Arc;

/// Takes the acquire back when dropped, unless its answer was delivered: while the request waits, after it was
/// granted, and until the answer is with the kernel.
#[must_use]
pub struct Delivery(Option<Box<Undelivered>>);

struct Undelivered {
    queue: Arc<CommandQueue>,
    name: Name,
    key: HoldKey,
    receiver: Option<AnswerReceiver>,
}

impl Delivery {
    pub(super) fn new(queue: Arc<CommandQueue>, name: Name, key: HoldKey, receiver: AnswerReceiver) -> Delivery {
        Delivery(Some(Box::new(Undelivered { queue, name, key, receiver: Some(receiver) })))
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
            // First the receiver, then the cancel: `CommandQueue::next` relies on this order.
            drop(undelivered.receiver.take());
            undelivered.queue.cancel(undelivered.name.clone(), undelivered.key);
        }
    }
}
