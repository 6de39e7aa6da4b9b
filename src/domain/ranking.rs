//! Orders of locks besides that of their names, and the place of one lock in such an order.

use super::ids::{Name, SessionId};
use super::locks::{Hold, Lock, Owner, Waiter};
use super::sessions::Session;
use super::time::Timestamp;

/// What decides which lock comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockOrder {
    /// The hold that is the oldest.
    Oldest,
    /// The hold that ends soonest, unless it is renewed.
    EndingFirst,
    /// The longest queue.
    MostWaiters,
}

/// A place in an order: equal numbers are ordered by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    /// Milliseconds of cluster time, or how many waiters are missing to the longest possible queue.
    pub number: u64,
    pub name: Name,
}

/// What of a lock decides its place, without what has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Since when the oldest hold is there; `None` without a hold.
    oldest: Option<Timestamp>,
    /// `None` where no hold ends by itself.
    first_end: Option<Timestamp>,
    pub waiters: u32,
    is_delayed: bool,
}

impl Standing {
    /// `live` finds sessions that have not ended.
    pub fn of<'a>(lock: &Lock, now: Timestamp, live: impl Fn(SessionId) -> Option<&'a Session>) -> Standing {
        let is_owned = |owner: &Owner| owner.session().is_none_or(|id| live(id).is_some());
        let session_end = |hold: &Hold| hold.owner.session().and_then(&live).map(|session| session.end_time(now));
        let (mut oldest, mut first_end) = (None::<Timestamp>, None::<Timestamp>);
        for hold in lock.holds().iter().filter(|hold| !hold.deadline.is_past(now) && is_owned(&hold.owner)) {
            let since = Timestamp::from(hold.since);
            oldest = Some(oldest.map_or(since, |oldest| oldest.min(since)));
            first_end = [first_end, hold.end_time(session_end(hold))].into_iter().flatten().min();
        }
        let waits = |waiter: &Waiter| !waiter.deadline.is_past(now) && is_owned(&waiter.owner);
        let waiters = lock.queue().iter().filter(|(_, waiter)| waits(waiter)).count() as u32;
        let is_delayed = lock.delay().is_some_and(|delay| !delay.until.is_past(now));
        Standing { oldest, first_end, waiters, is_delayed }
    }

    pub fn is_held(&self) -> bool {
        self.oldest.is_some()
    }

    /// Whether anybody has it, waits for it or will be granted it only later.
    pub fn is_in_use(&self) -> bool {
        self.is_held() || self.waiters > 0 || self.is_delayed
    }

    /// The lowest number comes first.
    pub fn number(&self, order: LockOrder) -> u64 {
        let moment = |moment: Option<Timestamp>| moment.map_or(u64::MAX, |moment| moment.0);
        match order {
            LockOrder::Oldest => moment(self.oldest),
            LockOrder::EndingFirst => moment(self.first_end),
            LockOrder::MostWaiters => u64::from(u32::MAX - self.waiters),
        }
    }
}
