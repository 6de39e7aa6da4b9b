//! Gives a hold back if its answer cannot reach the client that asked for it: a closed connection cancels the wait.

use crate::engine::answer::{Answer, AnswerReceiver};
use crate::engine::error::EngineError;

/// Runs an action when it is dropped, unless the answer was delivered before. An acquire is cancelled this way: while its
/// request waits, after it was granted, and until the kernel has the answer.
#[must_use]
pub struct GrantGuard(Option<Box<dyn FnOnce() + Send>>);

impl GrantGuard {
    /// `give_back` runs unless the answer is delivered.
    pub fn new(give_back: impl FnOnce() + Send + 'static) -> GrantGuard {
        GrantGuard(Some(Box::new(give_back)))
    }

    /// The kernel has the answer: from here on the lease or the session ends the hold.
    pub fn delivered(mut self) {
        self.0 = None;
    }
}

impl Drop for GrantGuard {
    fn drop(&mut self) {
        if let Some(give_back) = self.0.take() {
            give_back();
        }
    }
}

/// An acquire that waits for its outcome; dropping it cancels the acquire.
pub(super) struct PendingAcquire {
    // Dropped before the guard cancels: `CommandQueue::next` relies on this order.
    receiver: AnswerReceiver,
    guard: GrantGuard,
}

impl PendingAcquire {
    pub(super) fn new(receiver: AnswerReceiver, guard: GrantGuard) -> PendingAcquire {
        PendingAcquire { receiver, guard }
    }

    pub(super) async fn answered(mut self) -> (GrantGuard, Answer) {
        let answer = (&mut self.receiver).await.unwrap_or(Err(EngineError::OutcomeUnknown));
        (self.guard, answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Caller, Command, HoldKey, SessionId};
    use crate::engine::command_queue::{BatchBounds, CommandQueue};
    use std::sync::Arc;

    const BOUNDS: BatchBounds = BatchBounds { commands_max: 10, bytes_max: 1 << 10 };

    fn cancels_after(end: impl FnOnce(PendingAcquire)) -> usize {
        let queue = Arc::new(CommandQueue::new(1));
        let open = Command::OpenSession {
            session: SessionId([1; 16]),
            idle_timeout_ms: 1,
            idempotency_key: None,
            caller: Caller::NOBODY,
        };
        let receiver = queue.submit(open).expect("room");
        let cancelled = queue.clone();
        let guard = GrantGuard::new(move || cancelled.cancel("deploy".into(), HoldKey([1; 16])));
        end(PendingAcquire::new(receiver, guard));
        let batch = queue.next(BOUNDS);
        batch.queued.iter().filter(|queued| matches!(queued.command, Command::Cancel { .. })).count()
    }

    #[test]
    fn only_an_undelivered_acquire_is_cancelled() {
        assert_eq!(cancels_after(drop), 1);
        assert_eq!(cancels_after(|pending| pending.guard.delivered()), 0);
    }
}
