//! One lock: its holds and the queue of its waiters. Only [`Locks`](super::Locks) changes a lock that is in the table.

use super::hold::Hold;
use super::waiter::{Place, Waiter};
use crate::domain::time::Deadline;
use crate::mutants::planted;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// In the table only while it has a hold or a waiter.
#[derive(Clone, Debug, PartialEq)]
pub struct Lock {
    pub(super) size: u32,
    pub(super) size_to_remember: u32,
    /// No deadline of a hold or waiter is earlier: until it has passed, nothing can have ended.
    pub(super) next_deadline: Deadline,
    pub(super) holds: Vec<Hold>,
    pub(super) queue: Queue,
}

impl Lock {
    pub fn new(size: u32, size_to_remember: u32, holds: Vec<Hold>, queue: Queue) -> Lock {
        let mut lock = Lock { size, size_to_remember, next_deadline: Deadline::NEVER, holds, queue };
        lock.recompute_next_deadline();
        lock
    }

    /// How many holds it may have; set by the first of them.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The size to remember once it is free (LDLM's rule); 0 if no client with that rule held it.
    pub fn size_to_remember(&self) -> u32 {
        self.size_to_remember
    }

    /// Oldest first.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Before this moment nothing of it can have expired.
    pub fn next_deadline(&self) -> Deadline {
        self.next_deadline
    }

    /// Whether another hold of this size fits.
    pub fn has_room(&self, size: u32) -> bool {
        self.holds.is_empty() || (self.size == size && self.holds.len() < size as usize)
    }

    pub fn is_unused(&self) -> bool {
        self.holds.is_empty() && self.queue.is_empty()
    }

    /// Adds the hold of a lock that was just made for it: the newest hold decides the size.
    pub(super) fn merge(&mut self, granted: Lock) {
        self.size = granted.size;
        if granted.size_to_remember > 0 {
            self.size_to_remember = granted.size_to_remember;
        }
        self.next_deadline = self.next_deadline.min(granted.next_deadline);
        self.holds.extend(granted.holds);
    }

    pub(super) fn recompute_next_deadline(&mut self) {
        let holds = self.holds.iter().map(|hold| hold.deadline);
        let waiters = self.queue.iter().map(|(_, waiter)| Deadline::at(waiter.deadline));
        self.next_deadline = holds.chain(waiters).min().unwrap_or(Deadline::NEVER);
    }
}

/// Boxed: most locks have no waiters.
#[derive(Clone, Debug, PartialEq, Default)]
#[expect(clippy::box_collection, reason = "16 bytes less for each lock, of which there may be millions")]
pub struct Queue(Option<Box<BTreeMap<Place, Waiter>>>);

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.len())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Place, &Waiter)> {
        self.0.iter().flat_map(|queue| queue.iter())
    }

    /// The next waiter to be granted the lock. Orphaned waiters keep their places and are passed over.
    pub fn first(&self) -> Option<(&Place, &Waiter)> {
        let waiters = self.0.as_ref()?.iter();
        let mut waiters = waiters.filter(|(_, waiter)| planted!("lost-requests-granted") || !waiter.is_orphaned());
        planted!("last-come-first-served", waiters.next() => waiters.next_back())
    }

    pub fn get(&self, place: &Place) -> Option<&Waiter> {
        self.0.as_ref().and_then(|queue| queue.get(place))
    }

    /// Whether a new acquire of this priority would be first. The first waiter may wait for another size.
    pub fn lets_pass(&self, priority: i32) -> bool {
        self.first().is_none_or(|((Reverse(first), _), _)| *first < priority)
    }

    /// How many are ahead of this place.
    pub fn ahead(&self, place: &Place) -> usize {
        self.0.as_ref().map_or(0, |queue| queue.range(..place).count())
    }

    pub(in crate::domain) fn insert(&mut self, place: Place, waiter: Waiter) {
        self.0.get_or_insert_default().insert(place, waiter);
    }

    pub(super) fn get_mut(&mut self, place: &Place) -> Option<&mut Waiter> {
        self.0.as_mut().and_then(|queue| queue.get_mut(place))
    }

    pub(super) fn remove(&mut self, place: &Place) -> Option<Waiter> {
        let queue = self.0.as_mut()?;
        let removed = queue.remove(place);
        if queue.is_empty() {
            self.0 = None;
        }
        removed
    }
}
