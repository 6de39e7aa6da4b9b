//! `Engine`: all that other rooms may ask of the lock service. Each call goes to the part that owns it.

mod freezes;

use super::backup::Backup;
use super::error::{EngineError, Fault};
use super::events::{EventFilter, EventId, Subscription, SubscriptionsFull};
use super::options::EngineOptions;
use super::parts::{Overview, Parts};
use super::reads::{Consistency, LockPage, PageLimit, SessionPage};
use super::requests::{Changed, Granted, Released, Renewed};
use super::start::start;
use super::table_host::EndedHold;
use crate::base::DrainPhase;
use crate::domain::view::{HoldView, LockFilter, LockView, WaiterView};
use crate::domain::{
    Acquire, Caller, Command, Force, HoldKey, IdempotencyKey, LeaderView, Limits, Name, PastHold, Proof, SessionId,
    Timestamp, Token, Upgrade,
};
use crate::raft::NodeStartError;
use arcstr::ArcStr;
use std::sync::Arc;
use std::time::Duration;

/// A handle on the running lock service; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) parts: Arc<Parts>,
    pub(super) consistency: Consistency,
}

/// Start and end.
impl Engine {
    /// Returns, on a node that runs alone, when it leads and everything that was ever answered is back. In a cluster it
    /// returns at once: the others may be started later.
    pub async fn start(options: EngineOptions) -> Result<Engine, NodeStartError> {
        let parts = Arc::new(start(options).await?);
        Ok(Engine { parts, consistency: Consistency::Linearizable })
    }

    /// Ends every wait with an answer and refuses new holds; releases and renewals still pass.
    pub fn close(&self) {
        self.parts.close();
    }

    /// If this node leads others, has the most advanced of them take over. What comes meanwhile waits for the new leader.
    /// Returns whether there are others.
    pub async fn transfer_leadership(&self) -> bool {
        self.parts.transfer_leadership().await
    }

    /// Stops the log. Nothing is answered afterwards.
    pub async fn stop(&self) {
        self.parts.stop().await;
    }

    pub fn is_drain_announced(&self) -> bool {
        self.parts.submitter.options.drain.has_reached(DrainPhase::Announced)
    }

    pub fn is_closing(&self) -> bool {
        self.parts.submitter.options.drain.has_reached(DrainPhase::Closing)
    }

    /// Resolves when this node closes: answers without an end must end now, or they hold the drain up.
    pub async fn closing(&self) {
        self.parts.submitter.options.drain.reached(DrainPhase::Closing).await;
    }
}

/// Sessions.
impl Engine {
    /// Opens a session with the configured idle timeout. The same idempotency key opens the same session.
    pub async fn open_session(&self, key: Option<IdempotencyKey>, caller: Caller) -> Result<SessionId, Fault> {
        self.open_session_for(self.parts.submitter.options.session_idle_timeout, key, caller).await
    }

    /// Opens a session that ends after so long without being seen.
    pub async fn open_session_for(
        &self,
        idle_timeout: Duration,
        key: Option<IdempotencyKey>,
        caller: Caller,
    ) -> Result<SessionId, Fault> {
        self.parts.submitter.open_session(idle_timeout, key, caller).await
    }

    pub async fn close_session(&self, session: SessionId) -> Result<(), Fault> {
        self.parts.submitter.close_session(session, None).await
    }

    /// Ends the session of another client, with all that it holds and waits for.
    pub async fn end_session(&self, session: SessionId, force: Force) -> Result<(), Fault> {
        self.parts.submitter.close_session(session, Some(force)).await
    }

    /// Restarts the session's idle time; refuses an unknown session.
    pub async fn touch_session(&self, session: SessionId) -> Result<(), Fault> {
        self.parts.submitter.touch_session(session).await
    }

    /// Refuses a session of another caller, and one that no node knows.
    pub async fn check_session_of(&self, session: SessionId, caller: Caller) -> Result<(), Fault> {
        self.parts.submitter.check_session_of(session, caller).await
    }

    /// How long this session lives without a request; the configured time for one that this node does not know.
    pub fn idle_timeout_of(&self, session: SessionId) -> Duration {
        self.parts.reader.idle_timeout_of(session)
    }

    /// Whether anything would be lost if this session ended, as far as this node knows.
    pub fn session_has_holds(&self, session: SessionId) -> bool {
        self.parts.reader.host.table().holds_of(session) > 0
    }
}

/// Holds.
impl Engine {
    /// A fresh key for a hold.
    pub fn new_key() -> HoldKey {
        HoldKey(uuid::Uuid::new_v4().into_bytes())
    }

    /// The limits in force. They are the table's, so that nodes with different files answer alike; this node's own only
    /// until a leader has opened the table.
    pub fn limits(&self) -> Limits {
        self.parts.submitter.limits()
    }

    /// Acquires a hold, or waits for it. Dropping the future cancels the wait.
    ///
    /// A hold whose lease is over before the answer can leave is released and answered as not acquired.
    pub fn acquire(&self, acquire: impl Into<Box<Acquire>>) -> impl Future<Output = Result<Granted, Fault>> + Send {
        self.parts.submitter.acquire(acquire.into())
    }

    /// Whether the limits and the state of this server let it be granted once its locks are free. It may still be refused
    /// later.
    pub fn check_acquire(&self, acquire: Acquire) -> Result<(), Fault> {
        self.parts.submitter.check_acquire(Box::new(acquire))
    }

    /// Waits in the queue under an owner label, without a request that waits. Says how many waiters are ahead, or `None`
    /// when the lock was free and is now held.
    pub async fn enqueue(&self, acquire: Acquire) -> Result<Option<u32>, Fault> {
        self.parts.submitter.enqueue(acquire).await
    }

    /// Ends the wait of an owner label.
    pub async fn cancel_wait(&self, name: Name, label: ArcStr) -> Result<(), Fault> {
        self.parts.submitter.cancel_wait(name, label).await
    }

    pub fn release(
        &self,
        name: Name,
        session: Option<SessionId>,
        proof: Proof,
    ) -> impl Future<Output = Result<Released, Fault>> + Send + '_ {
        self.parts.submitter.release(Command::Release { name, session, proof })
    }

    pub async fn force_release(&self, name: Name, key: HoldKey, force: Force) -> Result<Released, Fault> {
        self.parts.submitter.release(Command::ForceRelease { name, key, force: Some(Box::new(force)) }).await
    }

    pub fn renew(
        &self,
        name: Name,
        session: Option<SessionId>,
        proof: Proof,
        lease_ms: u64,
    ) -> impl Future<Output = Result<Renewed, Fault>> + Send + '_ {
        self.parts.submitter.renew(name, session, proof, lease_ms)
    }
}

/// Before a change.
impl Engine {
    /// Refuses a command that would be refused now.
    pub async fn check(&self, command: Command) -> Result<(), Fault> {
        self.parts.submitter.check(command).await
    }
}

/// Changes of a hold.
impl Engine {
    /// Makes an exclusive hold a shared one; its key stays.
    pub async fn downgrade(&self, name: Name, session: Option<SessionId>, key: HoldKey) -> Result<Changed, Fault> {
        self.parts.submitter.downgrade(name, session, key).await
    }

    /// Makes a shared hold the only one, or waits for that before all others. Dropping the future ends the wait, and the
    /// hold stays.
    pub async fn upgrade(&self, upgrade: Upgrade) -> Result<Changed, Fault> {
        self.parts.submitter.upgrade(upgrade).await
    }

    /// Gives a hold to another session, under a new key.
    pub async fn transfer(
        &self,
        name: Name,
        session: Option<SessionId>,
        key: HoldKey,
        to: SessionId,
    ) -> Result<Changed, Fault> {
        self.parts.submitter.transfer(name, session, key, to, Engine::new_key()).await
    }

    /// The leader with this key says something else about itself.
    pub async fn set_value(
        &self,
        name: Name,
        session: Option<SessionId>,
        key: HoldKey,
        value: ArcStr,
    ) -> Result<Changed, Fault> {
        self.parts.submitter.set_value(name, session, key, value).await
    }
}

/// Changes of a lock or a resource.
impl Engine {
    /// Changes how many holds a counted lock may have; the size as it is then.
    pub async fn resize(&self, name: Name, size: u32) -> Result<u32, Fault> {
        self.parts.submitter.resize(name, size).await
    }

    /// Raises the high-water mark of a resource to this token, unless a higher one was accepted; the mark as it is then.
    pub async fn raise_mark(&self, resource: Name, token: Token, caller: Caller) -> Result<Token, Fault> {
        self.parts.submitter.raise_mark(resource, token, caller).await
    }
}

/// Reads.
impl Engine {
    /// The same service, read with this consistency.
    pub fn with_consistency(&self, consistency: Consistency) -> Engine {
        Engine { parts: self.parts.clone(), consistency }
    }

    /// Resolves when this node's table holds everything that was answered before this call, on any node.
    pub async fn read_barrier(&self) -> Result<(), EngineError> {
        self.parts.reader.read_barrier(self.consistency).await
    }

    /// Cluster time: a deadline minus this is what remains.
    pub fn now(&self) -> Timestamp {
        self.parts.reader.clock.now()
    }

    /// One lock, `None` if it is free; with the cluster time of the view.
    pub async fn lock(&self, name: &Name) -> Result<(Option<LockView>, Timestamp), Fault> {
        Ok(self.parts.reader.lock(name, self.consistency).await?)
    }

    /// The same with its queue.
    pub async fn lock_with_queue(&self, name: &Name) -> Result<(Option<LockView>, Timestamp), Fault> {
        Ok(self.parts.reader.lock_with_queue(name, self.consistency).await?)
    }

    /// The last holds of a name that have ended, newest first, at most `limit`. Refused where an older node has no history.
    pub async fn history(&self, name: &Name, limit: usize) -> Result<Vec<PastHold>, Fault> {
        self.parts.reader.history(name, limit, self.consistency).await
    }

    /// The tokens of the holds that a lock has, linearizable.
    pub async fn live_tokens(&self, name: &Name) -> Result<Vec<Token>, Fault> {
        self.parts.reader.read_point().await?;
        Ok(self.parts.reader.host.table().live_tokens(name, self.now()))
    }

    /// The leader of an election, linearizable; `None` without one.
    pub async fn leader(&self, name: &Name) -> Result<Option<LeaderView>, Fault> {
        Ok(self.parts.reader.leader(name).await?)
    }

    /// Whether the hold with this key is that of a leader, linearizable; `None` if there is no such hold.
    pub async fn is_election(&self, name: &Name, key: HoldKey) -> Result<Option<bool>, Fault> {
        self.parts.reader.read_point().await?;
        Ok(self.parts.reader.host.table().is_election(name, key))
    }

    /// Locks, ordered by name.
    pub async fn locks(
        &self,
        filter: LockFilter,
        after: Option<Name>,
        limit: impl Into<PageLimit>,
    ) -> Result<LockPage, Fault> {
        self.parts.reader.locks(filter, after, limit.into(), self.consistency).await
    }

    /// Live sessions, ordered by id.
    pub async fn sessions(&self, after: Option<SessionId>, limit: usize) -> Result<SessionPage, Fault> {
        self.parts.reader.sessions(after, limit, self.consistency).await
    }

    /// A lock as far as this node knows; no leader is asked.
    pub fn local_lock(&self, name: &Name) -> Option<LockView> {
        self.parts.reader.host.table().lock_view(name, self.now())
    }

    /// A hold as far as this node knows.
    pub fn local_hold(&self, name: &Name, key: HoldKey) -> Option<HoldView> {
        self.local_lock(name)?.holds.into_iter().find(|hold| hold.key == key)
    }

    /// Who waits for a lock as far as this node knows, in the order of their turns.
    pub fn local_waiters(&self, name: &Name) -> Vec<WaiterView> {
        self.parts.reader.host.table().waiters_view(name, self.now())
    }

    /// The last hold of a lock that is free now, if this process has seen it end and a dialect shows it.
    pub fn last_ended_hold(&self, name: &Name) -> Option<EndedHold> {
        self.parts.reader.host.ended_holds.of(name)
    }

    /// The index up to which this node has applied the log, and a digest of its table there: equal on all nodes at equal
    /// indexes. Takes as long as a snapshot, and as much memory.
    pub fn state_digest(&self) -> (u64, String) {
        self.parts.reader.state_digest()
    }

    /// Begins a backup of everything that was answered before this call. One at a time.
    pub async fn backup(&self) -> Result<Backup, Fault> {
        self.parts.backups.begin(self.consistency).await
    }

    /// Subscribes to events from the present on, or after an event that some node of this service has sent.
    pub fn subscribe(
        &self,
        filter: EventFilter,
        after: Option<EventId>,
        with_state: bool,
    ) -> Result<Subscription, SubscriptionsFull> {
        Subscription::new(self.parts.event_source.clone(), self.consistency, filter, after, with_state)
    }

    pub fn overview(&self) -> Overview {
        self.parts.overview()
    }
}
