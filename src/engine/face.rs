//! The engine's narrow face: all that dialects, pages and the server may ask of it.

use super::answer::{Answer, Answered};
use super::core::Core;
use super::delivery::{Delivery, PendingAcquire};
use super::ending::Ending;
use super::error::{EngineError, Fault};
use super::table_host::{FullLimitCounts, Stats};
use crate::base::histogram::Distribution;
use crate::base::random::random_id;
use crate::domain::view::{Counts, LockView, SessionView};
use crate::domain::{
    Acquire, Caller, Command, Grant, HoldKey, IdempotencyKey, Limits, Name, Outcome, Proof, Refusal, SessionId,
    Timestamp, Token,
};
use crate::raft::Progress;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

/// A handle on the running lock service; cheap to clone.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>, pub(super) Consistency);

/// How fresh a read is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consistency {
    /// Everything that was answered before, on any node, is seen.
    Linearizable,
    /// As this node knows it: answered without a leader too, and perhaps of the past.
    Stale,
}

pub(super) struct Inner {
    pub core: Arc<Core>,
    pub stop: watch::Sender<bool>,
    pub tasks: Vec<AbortHandle>,
    pub limits: Limits,
    pub session_idle_timeout: Duration,
    pub ending: Ending,
    pub disk_nearly_full: Arc<AtomicBool>,
    pub min_free_bytes: u64,
    /// One listing at a time: a filter that few of a million locks pass must not take all cores from those who lock.
    pub listings: tokio::sync::Semaphore,
    /// One backup at a time: each keeps a whole table from being freed.
    pub backups: Arc<tokio::sync::Semaphore>,
}

/// A hold, as answered. Until its answer is handed to the kernel the hold is given back when this is dropped.
pub struct Granted {
    pub key: HoldKey,
    pub token: Token,
    /// When the hold ends as seen when the answer leaves, if its owner does nothing more: with its lease, or with its
    /// session where that is sooner. `None` with neither.
    pub expires_in: Option<Duration>,
    pub delivery: Delivery,
}

pub struct Released {
    /// A waiter holds the lock now.
    pub waiter_granted: bool,
}

pub struct Renewed {
    pub key: HoldKey,
    pub token: Token,
    pub expires_in: Duration,
}

pub struct LockPage {
    /// In order of their names.
    pub locks: Vec<LockView>,
    /// The name to pass as `after` for the next page; `None` at the end.
    pub next: Option<Name>,
    /// Cluster time of this view: a deadline minus this is what remains.
    pub now: Timestamp,
}

pub struct SessionPage {
    pub sessions: Vec<SessionView>,
    pub next: Option<SessionId>,
    pub now: Timestamp,
}

/// The service in numbers.
pub struct Overview {
    pub counts: Counts,
    /// What the table takes in memory by its own count, and may take; 0: no bound.
    pub table_bytes: u64,
    pub table_bytes_max: u64,
    /// Refusals because a limit was reached.
    pub full: FullLimitCounts,
    pub stats: Stats,
    pub leader: bool,
    pub term: u64,
    pub log: Progress,
    pub disk_nearly_full: bool,
    /// Free space below which that is so.
    pub disk_reserve_bytes: u64,
    pub event_readers: u64,
    /// Commands of a log entry.
    pub batch: Distribution,
    /// From handing an entry to the log until it is applied.
    pub commit: Distribution,
    /// From asking for a lock until it was granted, or the wait for it ended.
    pub wait: Distribution,
    /// From handing an append to the disk until it is flushed.
    pub flush: Distribution,
    /// For how long one has not ended.
    pub flush_stalled: Duration,
    /// Since this process started.
    pub uptime: Duration,
}

impl Engine {
    /// A fresh key for a hold.
    pub fn new_key() -> HoldKey {
        HoldKey(uuid::Uuid::new_v4().into_bytes())
    }

    /// Opens a session with the configured idle timeout; its id has 128 bits from the OS's generator.
    ///
    /// The same request key opens the same session.
    pub async fn open_session(&self, request: Option<IdempotencyKey>, caller: Caller) -> Result<SessionId, Fault> {
        self.open_session_for(self.0.session_idle_timeout, request, caller).await
    }

    /// Opens a session that ends after so long without being seen.
    pub async fn open_session_for(
        &self,
        idle_timeout: Duration,
        request: Option<IdempotencyKey>,
        caller: Caller,
    ) -> Result<SessionId, Fault> {
        let session = SessionId(random_id());
        let idle_timeout_ms = crate::domain::time::round_up_ms(idle_timeout);
        let open = Command::OpenSession { session, idle_timeout_ms, idempotency_key: request, caller };
        self.check_quota(&open)?;
        match self.carry_out(open).await? {
            Outcome::SessionOpened { session } => Ok(session),
            other => Err(unexpected(other)),
        }
    }

    pub async fn close_session(&self, session: SessionId) -> Result<(), Fault> {
        match self.carry_out(Command::CloseSession { session }).await? {
            Outcome::SessionClosed => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Starts the session's idle time anew; refuses an unknown one.
    pub async fn touch_session(&self, session: SessionId) -> Result<(), Fault> {
        self.0.core.check_standing()?;
        // What lives here may have ended elsewhere, and then nothing comes of this; what does not may have begun there.
        if !self.0.core.host.table().is_live(session) {
            self.read_barrier().await?;
            if !self.0.core.host.table().is_live(session) {
                return Err(Refusal::SessionUnknown.into());
            }
        }
        self.0.core.queue.touch(session);
        Ok(())
    }

    /// The limits in force. They are the table's, so that nodes with different files answer alike; this node's own only
    /// until a leader has opened the table.
    pub fn limits(&self) -> Limits {
        let table = self.0.core.host.table();
        if table.level() == 0 { self.0.limits } else { *table.limits() }
    }

    /// Takes or waits for a hold. Dropping the future cancels the wait.
    ///
    /// A hold whose lease is over before the answer could leave is given back and answered as not acquired.
    pub async fn acquire(&self, acquire: Acquire) -> Result<Granted, Fault> {
        self.limits().check_acquire(&acquire)?;
        let (name, key, session) = (acquire.name.clone(), acquire.key, acquire.session);
        let named = name.clone();
        let command = Command::Acquire(Box::new(acquire));
        self.check_quota(&command)?;
        self.check_foreseen(&command).await?;
        let receiver = self.submit(command)?;
        let (queue, cancelled) = (self.0.core.queue.clone(), name.clone());
        let pending = PendingAcquire::new(receiver, Delivery::new(move || queue.cancel(cancelled, key)));
        let asked = self.0.core.clock.age();
        let (delivery, answer) = pending.answered().await;
        if answer.as_ref().is_ok_and(is_end_of_wait) {
            let waited = self.0.core.clock.age().saturating_sub(asked);
            self.0.core.timings.wait.observe_duration(waited);
        }
        let grant = match answer? {
            Answered::Outcome(Outcome::Acquired(grant)) => grant,
            Answered::GrantedAfterWait { grant, unconfirmed: false } => grant,
            Answered::GrantedAfterWait { grant, unconfirmed: true } => self.confirm(name, grant, session).await?,
            Answered::Outcome(other) => {
                delivery.delivered();
                return Err(unexpected(other));
            }
        };
        let now = self.0.core.clock.now();
        if grant.deadline.is_some_and(|deadline| deadline.is_past(now)) {
            return Err(Refusal::WaitTimedOut.into());
        }
        let expires_in = self.end_of(&named, &grant, session, now).map(|end| end.since(now));
        Ok(Granted { key: grant.key, token: grant.token, expires_in, delivery })
    }

    /// Among several nodes the end of a wait is announced before it is answered: if this node is declared down in
    /// between, the hold goes on to the next, because nobody can have been told of it.
    async fn confirm(&self, name: Name, grant: Grant, session: Option<SessionId>) -> Result<Grant, Fault> {
        match self.run(Command::ConfirmDelivery { name, key: grant.key }).await? {
            Outcome::Confirmed => Ok(grant),
            Outcome::Refused(_) if session.is_some_and(|session| !self.0.core.host.table().is_live(session)) => {
                Err(Refusal::SessionUnknown.into())
            }
            Outcome::Refused(_) => Err(Refusal::WaitCancelled.into()),
            other => Err(unexpected(other)),
        }
    }

    pub async fn release(&self, name: Name, session: Option<SessionId>, proof: Proof) -> Result<Released, Fault> {
        self.released(Command::Release { name, session, proof }).await
    }

    pub async fn force_release(&self, name: Name, key: HoldKey) -> Result<Released, Fault> {
        self.released(Command::ForceRelease { name, key }).await
    }

    pub async fn renew(
        &self,
        name: Name,
        session: Option<SessionId>,
        proof: Proof,
        lease_ms: u64,
    ) -> Result<Renewed, Fault> {
        self.limits().check_lease(Some(lease_ms))?;
        match self.carry_out(Command::Renew { name: name.clone(), session, proof, lease_ms }).await? {
            Outcome::Renewed(Grant { key, token, deadline: Some(deadline), .. }) => {
                let now = self.0.core.clock.now();
                // Whoever has the key may renew, and the session that the hold hangs on may be another one.
                let end = self.0.core.host.table().end_of_hold(&name, key, now).unwrap_or(deadline).min(deadline);
                Ok(Renewed { key, token, expires_in: end.since(now) })
            }
            other => Err(unexpected(other)),
        }
    }

    /// One lock, `None` if it is free; with the cluster time of the view.
    pub async fn lock(&self, name: &Name) -> Result<(Option<LockView>, Timestamp), Fault> {
        self.read_barrier().await?;
        let now = self.0.core.clock.now();
        Ok((self.0.core.host.table().lock_view(name, now), now))
    }

    /// The same service, read with this consistency.
    pub fn reading(&self, consistency: Consistency) -> Engine {
        Engine(self.0.clone(), consistency)
    }

    /// Everything that was answered before this call, on any node, is in this node's table when it returns.
    pub async fn read_barrier(&self) -> Result<(), EngineError> {
        let core = &self.0.core;
        core.check_standing()?;
        if core.stands_still() {
            return Ok(());
        }
        if self.1 == Consistency::Stale || (core.leads() && core.is_alone()) {
            return Ok(());
        }
        core.reads.barrier(core.cluster.no_quorum_after.mul_f32(0.9)).await
    }

    /// Cluster time: a deadline minus this is what remains.
    pub fn now(&self) -> Timestamp {
        self.0.core.clock.now()
    }

    pub fn overview(&self) -> Overview {
        let leadership = *self.0.core.raft.leadership().borrow();
        let (counts, table_bytes, table_bytes_max) = {
            let table = self.0.core.host.table();
            (table.counts(), table.bytes(), table.limits().table_bytes_max)
        };
        Overview {
            counts,
            table_bytes,
            table_bytes_max,
            full: self.0.core.host.full_limits.counts(),
            stats: self.0.core.host.counters.read(),
            leader: self.0.core.leads(),
            term: leadership.term,
            log: self.0.core.raft.progress(),
            disk_reserve_bytes: self.0.core.reserve_bytes(self.0.min_free_bytes),
            disk_nearly_full: self.0.disk_nearly_full.load(Ordering::Relaxed),
            event_readers: self.0.core.events.readers(),
            batch: self.0.core.host.batch_sizes.read(),
            commit: self.0.core.timings.commit.read(),
            wait: self.0.core.timings.wait.read(),
            flush: self.0.core.raft.flushes(),
            flush_stalled: self.0.core.raft.flush_stalled(),
            uptime: self.0.core.clock.age(),
        }
    }

    async fn released(&self, command: Command) -> Result<Released, Fault> {
        match self.carry_out(command).await? {
            Outcome::Released { waiter_granted } => Ok(Released { waiter_granted }),
            other => Err(unexpected(other)),
        }
    }

    fn submit(&self, command: Command) -> Result<oneshot::Receiver<Answer>, EngineError> {
        self.0.core.check_standing()?;
        self.0.core.check_writable()?;
        self.0.core.queue.submit(command)
    }

    pub(super) async fn run(&self, command: Command) -> Result<Outcome, EngineError> {
        let receiver = self.submit(command)?;
        match receiver.await.unwrap_or(Err(EngineError::OutcomeUnknown))? {
            Answered::Outcome(outcome) => Ok(outcome),
            Answered::GrantedAfterWait { grant, .. } => Ok(Outcome::Acquired(grant)),
        }
    }
}

/// Whether a lock was granted, at once or after a wait, or a wait for it has ended.
fn is_end_of_wait(answer: &Answered) -> bool {
    let refused = |refusal: &Refusal| matches!(refusal, Refusal::WaitTimedOut | Refusal::WaitCancelled);
    match answer {
        Answered::GrantedAfterWait { .. } | Answered::Outcome(Outcome::Acquired(_)) => true,
        Answered::Outcome(Outcome::Refused(refusal)) => refused(refusal),
        Answered::Outcome(_) => false,
    }
}

/// A refusal, or an outcome that does not belong to the command, which is a bug.
fn unexpected(outcome: Outcome) -> Fault {
    match outcome {
        Outcome::Refused(refusal) => refusal.into(),
        _ => Refusal::Broken("an outcome of another kind than the command").into(),
    }
}
