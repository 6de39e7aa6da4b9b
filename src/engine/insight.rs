//! What [`Engine`] tells those who look into what is stuck: other orders, who is in the way of whom, what has just happened,
//! which locks are waited for; and that a waiter leaves.

use super::contention::{Contention, ContentionOrder, SlowTimes};
use super::error::Fault;
use super::events::{EventId, LockEvent, PublishedEvent};
use super::facade::Engine;
use super::reads::{PageLimit, RankedPage};
use crate::domain::view::{Blocking, LockFilter, QuotaUse, SessionParts, SessionView, ShareView};
use crate::domain::{Caller, HoldKey, LockOrder, Name, Rank, SessionId, Token};

impl Engine {
    /// Locks in another order than that of their names, after a place in it. Each page takes a pass over all locks.
    pub async fn ranked_locks(
        &self,
        filter: LockFilter,
        order: LockOrder,
        after: Option<Rank>,
        limit: PageLimit,
    ) -> Result<RankedPage, Fault> {
        self.parts.reader.ranked_locks(filter, order, after, limit, self.consistency).await
    }

    /// The live sessions with this handle: one, unless the digests of two ids are equal.
    pub async fn sessions_with_handle(&self, handle: String) -> Result<Vec<SessionView>, Fault> {
        self.parts.reader.sessions_with_handle(handle, self.consistency).await
    }

    /// The first holds and waits of a session as far as this node knows, so many of each.
    pub fn local_parts_of(&self, session: SessionId, limit: usize) -> SessionParts {
        self.parts.reader.host.table().parts_of(session, limit)
    }

    /// What the holders of a lock wait for, and so on, as far as this node knows: so many steps, the nearest first.
    pub fn local_blocking(&self, name: &Name, limit: usize) -> Vec<Blocking> {
        self.parts.reader.host.table().blocking(name, self.now(), limit)
    }

    /// The newest events that this node keeps and that are wanted, the newest first, from `before` backwards; and where to go
    /// on, if there may be more.
    pub fn newest_events(
        &self,
        before: Option<EventId>,
        is_wanted: &dyn Fn(&LockEvent) -> bool,
        limit: usize,
    ) -> (Vec<PublishedEvent>, Option<EventId>) {
        self.parts.events.newest(before, is_wanted, limit)
    }

    /// What a caller uses of each pool, and its share, as far as this node knows.
    pub fn local_shares_of(&self, caller: Caller) -> Vec<ShareView> {
        self.parts.reader.host.table().shares_of(caller)
    }

    /// What is used of every quota, as far as this node knows.
    pub fn local_quota_uses(&self) -> Vec<QuotaUse> {
        self.parts.reader.host.table().quota_uses()
    }

    /// The same of the quotas that bound a caller which sees these prefixes.
    pub fn local_quota_uses_of(&self, caller: Caller, sees: impl Fn(&str) -> bool) -> Vec<QuotaUse> {
        self.parts.reader.host.table().quota_uses_of(caller, sees)
    }

    /// Ends the wait of the acquire that would get this key, of the first of its names. If it was granted meanwhile, the
    /// hold ends, whose token is given back. Refused if it has ended.
    pub async fn drop_waiter(&self, name: Name, key: HoldKey) -> Result<Option<Token>, Fault> {
        self.parts.submitter.drop_waiter(name, key).await
    }

    /// Of the locks whose name begins with one of these prefixes, the first in this order of those that were waited for
    /// lately, as this node has seen it.
    pub fn contention(&self, prefixes: &[String], order: ContentionOrder, limit: usize) -> Contention {
        let host = &self.parts.reader.host;
        host.contention.read(prefixes, order, limit, self.now(), || host.table())
    }

    /// From now on waits and holds that last this long are logged.
    pub fn log_slow_locks(&self, times: SlowTimes) {
        self.parts.reader.host.slow_locks.set_times(times);
    }
}
