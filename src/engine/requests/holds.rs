//! Acquiring, releasing and renewing holds, and places in the queue that no request waits on. A hold is released if
//! its answer cannot reach the client that asked for it: a closed connection cancels the wait.

use super::submitter::{Submitter, unexpected};
use crate::domain::time::round_up_ms;
use crate::domain::{
    Acquire, Command, Grant, HoldKey, Name, Outcome, Proof, Refusal, SessionId, Timestamp, Token, Undone,
};
use crate::engine::command_queue::{Answer, AnswerReceiver, Answered, CommandQueue};
use crate::engine::error::{EngineError, Fault};
use arcstr::ArcStr;
use futures_util::FutureExt as _;
use std::sync::Arc;
use std::time::Duration;

/// A granted hold. It is released when this is dropped before its answer has reached the kernel.
pub struct Granted {
    pub key: HoldKey,
    pub token: Token,
    /// What remains of the hold when the answer leaves, if its owner does nothing more: its lease, or its session if that
    /// ends sooner. `None` with neither.
    pub expires_in: Option<Duration>,
    pub delivery: GrantGuard,
}

pub struct Released {
    /// A waiter holds the lock now.
    pub waiter_granted: bool,
    /// All names of a hold of several.
    pub names: Vec<Name>,
}

/// A hold that is shared or exclusive now, or has another owner.
pub struct Changed {
    pub key: HoldKey,
    pub token: Token,
    pub expires_in: Option<Duration>,
}

pub struct Renewed {
    pub key: HoldKey,
    pub token: Token,
    pub expires_in: Duration,
}

/// Runs an action when it is dropped, unless the answer was delivered before. An acquire is cancelled this way: while its
/// request waits, after it was granted, and until the kernel has the answer.
#[must_use]
pub struct GrantGuard(Option<Box<dyn FnOnce() + Send>>);

impl GrantGuard {
    /// `undo` runs unless the answer is delivered.
    pub fn new(undo: impl FnOnce() + Send + 'static) -> GrantGuard {
        GrantGuard(Some(Box::new(undo)))
    }

    /// The kernel has the answer: from here on the lease or the session ends the hold.
    pub fn delivered(mut self) {
        self.0 = None;
    }
}

impl Drop for GrantGuard {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}

/// An acquire or an upgrade that waits for its outcome; dropping it cancels the wait.
pub(super) struct PendingWait {
    // Dropped before the guard cancels: `CommandQueue::next` relies on this order.
    receiver: AnswerReceiver,
    guard: GrantGuard,
}

impl PendingWait {
    /// `key` is the new key of an acquire, or the attempt of an upgrade.
    pub fn new(queue: &Arc<CommandQueue>, receiver: AnswerReceiver, name: Name, key: HoldKey) -> PendingWait {
        let queue = Arc::clone(queue);
        PendingWait { receiver, guard: GrantGuard::new(move || queue.cancel(name, key)) }
    }

    pub async fn answered(mut self) -> (GrantGuard, Answer) {
        let answer = (&mut self.receiver).await.unwrap_or(Err(EngineError::OutcomeUnknown));
        (self.guard, answer)
    }
}

impl Submitter {
    /// Whether it could be granted now if its locks were free: it is within the limits, and this server may grant.
    pub fn check_acquire(&self, acquire: Box<Acquire>) -> Result<(), Fault> {
        let command = self.checked(acquire)?;
        self.health.check_may_serve()?;
        Ok(self.host.table().check_supported(&command)?)
    }

    pub(super) fn checked(&self, acquire: Box<Acquire>) -> Result<Command, Fault> {
        self.limits().check_acquire(&acquire)?;
        let command = Command::Acquire(acquire);
        self.check_capacity(&command)?;
        Ok(command)
    }

    // In a box at once: what a future has as an argument it keeps to its end.
    pub async fn acquire(&self, acquire: Box<Acquire>) -> Result<Granted, Fault> {
        self.check_pace(&acquire)?;
        let (name, key, session) = (acquire.name.clone(), acquire.key, acquire.session);
        let command = self.checked(acquire)?;
        self.preflight(&command).await?;
        let receiver = self.submit(command)?;
        let pending = PendingWait::new(&self.queue, receiver, name.clone(), key);
        let asked = self.clock.age();
        self.propose_if_standalone().await;
        let (delivery, answer) = pending.answered().await;
        let (mut grant, delivery, unconfirmed) = self.granted(answer, delivery, asked)?;
        if unconfirmed {
            // In a box: only nodes with peers come here.
            grant = Box::pin(self.confirm(name.clone(), grant, session)).await?;
        }
        let now = self.clock.now();
        if grant.deadline.is_some_and(|deadline| deadline.is_past(now)) {
            return Err(Refusal::WaitTimedOut.into());
        }
        let expires_in = self.end_of(&name, &grant, session, now).map(|end| end.since(now));
        Ok(Granted { key: grant.key, token: grant.token, expires_in, delivery })
    }

    /// The grant in an answer to what was asked at this age of the process, and whether it is to be confirmed. An answer without
    /// one leaves nothing to cancel.
    fn granted(
        &self,
        answer: Answer,
        delivery: GrantGuard,
        asked: Duration,
    ) -> Result<(Grant, GrantGuard, bool), Fault> {
        if answer.as_ref().is_ok_and(is_end_of_wait) {
            self.wait_time.observe_duration(self.clock.age().saturating_sub(asked));
        }
        match answer? {
            Answered::Outcome(Outcome::Acquired(grant)) => Ok((grant, delivery, false)),
            Answered::GrantedAfterWait { grant, unconfirmed } => Ok((grant, delivery, unconfirmed)),
            Answered::Outcome(other) => {
                delivery.delivered();
                Err(unexpected(other))
            }
        }
    }

    /// Among several nodes a grant after a wait is confirmed before it is answered: if this node is declared down in
    /// between, the hold goes on to the next waiter, because no client can know of it.
    async fn confirm(&self, name: Name, grant: Grant, session: Option<SessionId>) -> Result<Grant, Fault> {
        match self.propose(Command::ConfirmDelivery { name, key: grant.key }).await? {
            Outcome::Confirmed => Ok(grant),
            Outcome::Refused(_) if session.is_some_and(|session| !self.host.table().is_live(session)) => {
                Err(Refusal::SessionUnknown.into())
            }
            Outcome::Refused(_) => Err(Refusal::WaitCancelled.into()),
            other => Err(unexpected(other)),
        }
    }

    /// Runs a command that releases a hold.
    pub fn release(&self, command: Command) -> impl Future<Output = Result<Released, Fault>> {
        self.run(command).map(|outcome| match outcome? {
            Outcome::Released { waiter_granted, names } => Ok(Released { waiter_granted, names }),
            other => Err(unexpected(other)),
        })
    }

    pub async fn renew(
        &self,
        name: Name,
        session: Option<SessionId>,
        proof: Proof,
        lease_ms: u64,
    ) -> Result<Renewed, Fault> {
        self.limits().check_lease(Some(lease_ms))?;
        match self.run(Command::Renew { name: name.clone(), session, proof, lease_ms }).await? {
            Outcome::Renewed(Grant { key, token, deadline: Some(deadline), .. }) => {
                let now = self.clock.now();
                // A client that has the key may renew, and the hold may belong to another session.
                let end = self.host.table().end_of_hold(&name, key, now).unwrap_or(deadline).min(deadline);
                Ok(Renewed { key, token, expires_in: end.since(now) })
            }
            other => Err(unexpected(other)),
        }
    }

    /// When a hold ends that was just granted to this session: with its lease, or with its session if that is sooner.
    ///
    /// The session was seen at the grant or later, so it ends before the lease only if its idle timeout is shorter. Only then
    /// is the busy table asked.
    fn end_of(&self, name: &Name, grant: &Grant, session: Option<SessionId>, now: Timestamp) -> Option<Timestamp> {
        let Some(session) = session else { return grant.deadline };
        let idle_ms = round_up_ms(self.reader.idle_timeout_of(session));
        match grant.deadline {
            Some(deadline) if deadline <= grant.since.after_ms(idle_ms) => Some(deadline),
            // A hold that has ended meanwhile had its lease.
            deadline => self.host.table().end_of_hold(name, grant.key, now).or(deadline),
        }
    }

    pub async fn enqueue(&self, acquire: Acquire) -> Result<Option<u32>, Fault> {
        self.check_pace(&acquire)?;
        match self.run(self.checked(Box::new(acquire))?).await? {
            Outcome::Enqueued { position } => Ok(Some(position)),
            Outcome::Acquired(_) => Ok(None),
            other => Err(unexpected(other)),
        }
    }

    pub async fn drop_waiter(&self, name: Name, key: HoldKey) -> Result<Option<Token>, Fault> {
        match self.propose(Command::Cancel { name, key }).await? {
            Outcome::Cancelled(Undone::Wait) => Ok(None),
            Outcome::Cancelled(Undone::Hold(token)) => Ok(Some(token)),
            Outcome::Cancelled(Undone::Nothing) => Err(Refusal::NotWaiting.into()),
            other => Err(unexpected(other)),
        }
    }

    pub async fn cancel_wait(&self, name: Name, label: ArcStr) -> Result<(), Fault> {
        match self.run(Command::CancelWait { name, label }).await? {
            Outcome::Cancelled(_) => Ok(()),
            other => Err(unexpected(other)),
        }
    }
}

/// Whether a lock was granted, at once or after a wait, or a wait for it has ended.
fn is_end_of_wait(answer: &Answered) -> bool {
    match answer {
        Answered::GrantedAfterWait { .. } | Answered::Outcome(Outcome::Acquired(_)) => true,
        Answered::Outcome(Outcome::Refused(refusal)) => {
            let has_waited = matches!(refusal, Refusal::Frozen(by) if by.waited);
            has_waited || matches!(refusal, Refusal::WaitTimedOut | Refusal::WaitCancelled | Refusal::WaitDropped)
        }
        Answered::Outcome(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Caller, Dialect, Upgrade};
    use crate::engine::command_queue::BatchBounds;
    use crate::engine::test_node::open_session;

    const BOUNDS: BatchBounds = BatchBounds { commands_max: 10, bytes_max: 1 << 10 };
    const KEY: HoldKey = HoldKey([1; 16]);

    /// What the log gets of this command once `end` has ended the wait for its answer.
    fn taken_after(command: Command, end: impl FnOnce(PendingWait)) -> Vec<Command> {
        let queue = Arc::new(CommandQueue::new(1));
        let receiver = queue.submit(command).expect("room");
        end(PendingWait::new(&queue, receiver, "deploy".into(), KEY));
        queue.next(BOUNDS).queued.into_iter().map(|queued| queued.command).collect()
    }

    #[test]
    fn only_an_undelivered_wait_is_cancelled() {
        let cancels = |end: fn(PendingWait)| {
            let taken = taken_after(open_session(1), end);
            taken.iter().filter(|command| matches!(command, Command::Cancel { .. })).count()
        };
        assert_eq!(cancels(drop), 1);
        assert_eq!(cancels(|pending| pending.guard.delivered()), 0);
    }

    #[test]
    fn queued_wait_whose_caller_is_gone_is_not_begun() {
        let name = Name::from("deploy");
        let acquire = Command::Acquire(Box::new(Acquire::new(name.clone(), KEY, Dialect::LdlmRest)));
        let (session, wait, caller) = (None, None, Caller::NOBODY);
        let upgrade = Upgrade { name, session, key: HoldKey([2; 16]), attempt: KEY, wait, caller };
        for command in [acquire, Command::Upgrade(Box::new(upgrade))] {
            let taken = taken_after(command, drop);
            assert!(matches!(&taken[..], [Command::Cancel { key: KEY, .. }]), "{taken:?}");
        }
    }
}
