//! Listings of locks and sessions, in pages that are bounded in rows and in bytes.

use super::reader::{Consistency, TableReader};
use crate::domain::view::{LockFilter, LockView, SessionView};
use crate::domain::{LockOrder, Name, Rank, SessionId, Timestamp};
use crate::engine::error::{EngineError, Fault};
use tokio::sync::SemaphorePermit;

/// About how many bytes a page shows if the caller sets no bound.
const PAGE_BYTES: usize = 1 << 20;

/// How much one page shows. The row that reaches the byte bound is its last.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    pub rows: usize,
    pub bytes: usize,
}

impl From<usize> for PageLimit {
    fn from(rows: usize) -> PageLimit {
        PageLimit { rows, bytes: PAGE_BYTES }
    }
}

pub struct LockPage {
    /// Ordered by name.
    pub locks: Vec<LockView>,
    /// The name to pass as `after` for the next page; `None` at the end.
    pub next: Option<Name>,
    /// Cluster time of this view: a deadline minus this is what remains.
    pub now: Timestamp,
}

/// A page of locks in another order than that of their names.
pub struct RankedPage {
    pub locks: Vec<LockView>,
    /// The place to pass as `after` for the next page; `None` at the end.
    pub next: Option<Rank>,
    /// How many locks pass the filter, on all pages.
    pub matching: u64,
    pub now: Timestamp,
}

pub struct SessionPage {
    /// Ordered by id.
    pub sessions: Vec<SessionView>,
    pub next: Option<SessionId>,
    pub now: Timestamp,
}

impl TableReader {
    pub async fn locks(
        &self,
        filter: LockFilter,
        after: Option<Name>,
        limit: PageLimit,
        consistency: Consistency,
    ) -> Result<LockPage, Fault> {
        let _turn = self.listing_turn(consistency).await?;
        let (frozen, now) = (self.host.freeze(), self.clock.now());
        // On a thread of its own: a filter that few locks pass reads all locks.
        let page = self.blocking.spawn_blocking(move || {
            let mut matching = frozen.locks(&filter, after.as_ref(), now);
            let locks = fitting(&mut matching, limit);
            let more = matching.next().is_some();
            let next = locks.last().filter(|_| more).map(|lock| lock.name.clone());
            LockPage { locks, next, now }
        });
        page.await.map_err(|_| EngineError::ShuttingDown.into())
    }

    /// Locks in an order, after a place. It reads all of them.
    pub async fn ranked_locks(
        &self,
        filter: LockFilter,
        order: LockOrder,
        after: Option<Rank>,
        limit: PageLimit,
        consistency: Consistency,
    ) -> Result<RankedPage, Fault> {
        let _turn = self.listing_turn(consistency).await?;
        let (frozen, now) = (self.host.freeze(), self.clock.now());
        let page = self.blocking.spawn_blocking(move || {
            let ranked = frozen.ranked(&filter, order, after.as_ref(), (limit.rows, limit.bytes), now);
            RankedPage { locks: ranked.locks, next: ranked.last, matching: ranked.matching, now }
        });
        page.await.map_err(|_| EngineError::ShuttingDown.into())
    }

    /// The live sessions with this handle. It reads all of them.
    pub async fn sessions_with_handle(
        &self,
        handle: String,
        consistency: Consistency,
    ) -> Result<Vec<SessionView>, Fault> {
        let _turn = self.listing_turn(consistency).await?;
        let frozen = self.host.freeze();
        let found = self.blocking.spawn_blocking(move || frozen.sessions_with_handle(&handle));
        found.await.map_err(|_| EngineError::ShuttingDown.into())
    }

    async fn listing_turn(&self, consistency: Consistency) -> Result<SemaphorePermit<'_>, Fault> {
        let turn = self.listings.acquire().await.map_err(|_| EngineError::ShuttingDown)?;
        self.read_barrier(consistency).await?;
        Ok(turn)
    }

    pub async fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
        consistency: Consistency,
    ) -> Result<SessionPage, Fault> {
        let _turn = self.listing_turn(consistency).await?;
        let (frozen, now) = (self.host.freeze(), self.clock.now());
        let page = self.blocking.spawn_blocking(move || {
            let mut sessions = frozen.sessions_after(after, limit.saturating_add(1));
            let more = sessions.len() > limit;
            sessions.truncate(limit);
            let next = sessions.last().filter(|_| more).map(|last| last.session);
            SessionPage { sessions, next, now }
        });
        page.await.map_err(|_| EngineError::ShuttingDown.into())
    }
}

/// The first of these that fit into a page.
fn fitting(matching: &mut impl Iterator<Item = LockView>, limit: PageLimit) -> Vec<LockView> {
    let (mut locks, mut bytes) = (Vec::new(), 0);
    while locks.len() < limit.rows
        && bytes < limit.bytes
        && let Some(lock) = matching.next()
    {
        bytes += lock.shown_bytes();
        locks.push(lock);
    }
    locks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_ends_with_the_row_that_reaches_a_bound() {
        let lock = |name: String| LockView {
            name: name.as_str().into(),
            size: 1,
            holds: Vec::new(),
            waiters: 1,
            delayed_until: None,
            frozen: None,
            queue: None,
        };
        let names = |rows, bytes| {
            let mut matching = (0..9).map(|at| lock(format!("{at}").repeat(400)));
            fitting(&mut matching, PageLimit { rows, bytes }).len()
        };
        assert_eq!((names(3, 1 << 20), names(9, 1), names(9, 1_200), names(100, 1 << 20)), (3, 1, 3, 9));
    }
}
