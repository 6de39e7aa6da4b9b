//! Gives a hold back if its answer cannot reach whoever asked for it.

use super::answer::{Answer, AnswerReceiver};
use super::error::EngineError;

/// Runs an action when it is dropped, unless the answer was delivered before: an acquire is cancelled with it while its
/// request waits, after it was granted, and until the kernel has the answer.
#[must_use]
pub struct Delivery(Option<Box<dyn FnOnce() + Send>>);

impl Delivery {
    /// `give_back` runs unless the answer is delivered.
    pub fn new(give_back: impl FnOnce() + Send + 'static) -> Delivery {
        Delivery(Some(Box::new(give_back)))
    }

    /// The answer is with the kernel: from here on the lease or the session ends the hold.
    pub fn delivered(mut self) {
        self.0 = None;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(give_back) = self.0.take() {
            give_back();
        }
    }
}

/// An acquire whose outcome is awaited; dropping it cancels.
pub(super) struct PendingAcquire {
    // Dropped before the delivery cancels: `CommandQueue::next` relies on this order.
    receiver: AnswerReceiver,
    delivery: Delivery,
}

impl PendingAcquire {
    pub(super) fn new(receiver: AnswerReceiver, delivery: Delivery) -> PendingAcquire {
        PendingAcquire { receiver, delivery }
    }

    pub(super) async fn answered(mut self) -> (Delivery, Answer) {
        let answer = (&mut self.receiver).await.unwrap_or(Err(EngineError::OutcomeUnknown));
        (self.delivery, answer)
    }
}
