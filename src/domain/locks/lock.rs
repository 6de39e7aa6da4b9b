//! One lock: its holds and the queue of its waiters. Only [`Locks`](super::Locks) changes a lock that is in the table.

use super::hold::Hold;
use super::waiter::{Place, Waiter};
use crate::domain::ids::{Caller, Token};
use crate::domain::terms::SHARED;
use crate::domain::time::{Deadline, Timestamp};
use crate::mutants::planted;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// In the table only while it has a hold or a waiter, or the last hold's end delays the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Lock {
    pub(super) size: u32,
    pub(super) size_to_remember: u32,
    /// No deadline of a hold or waiter is earlier: until it has passed, nothing can have ended.
    pub(super) next_deadline: Deadline,
    pub(super) holds: Vec<Hold>,
    pub(super) queue: Queue,
    pub(super) rare: Option<Box<Rare>>,
}

/// What few locks have.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Rare {
    /// By how much the weights of the holds exceed their number.
    pub extra_weight: u64,
    pub delay: Option<Delay>,
    /// Its size was changed, so it is counted even with size 1.
    pub is_resized: bool,
}

/// A hold has ended, and nobody is granted its lock for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    pub until: Timestamp,
    /// Of the hold.
    pub token: Token,
    /// For whom it counts as a hold; for nobody below the level of bounds.
    pub counts_for: Option<Caller>,
}

impl Lock {
    pub fn new(size: u32, size_to_remember: u32, holds: Vec<Hold>, queue: Queue, rare: Option<Rare>) -> Lock {
        let next_deadline = Deadline::NEVER;
        let mut lock = Lock { size, size_to_remember, next_deadline, holds, queue, rare: rare.map(Box::new) };
        let extra_weight = lock.holds.iter().map(|hold| u64::from(hold.weight().saturating_sub(1))).sum();
        if extra_weight > 0 || lock.rare.is_some() {
            lock.rare.get_or_insert_default().extra_weight = extra_weight;
        }
        lock.recompute_next_deadline();
        lock
    }

    /// How many holds it may have; set by the first of them. [`SHARED`] for any number of shared ones.
    pub fn size(&self) -> u32 {
        self.size
    }

    pub fn is_counted(&self) -> bool {
        !matches!(self.size, 1 | SHARED) || self.rare.as_ref().is_some_and(|rare| rare.is_resized)
    }

    /// How its last hold's end delays the next grant.
    pub fn delay(&self) -> Option<Delay> {
        self.rare.as_ref().and_then(|rare| rare.delay)
    }

    /// What is kept of it besides holds and waiters, if anything is.
    pub fn kept(&self) -> Option<Rare> {
        self.rare.as_ref().map(|rare| Rare { extra_weight: 0, ..**rare }).filter(|rare| *rare != Rare::default())
    }

    /// The places that its holds take.
    pub fn weight_held(&self) -> u64 {
        self.holds.len() as u64 + self.rare.as_ref().map_or(0, |rare| rare.extra_weight)
    }

    /// The size to remember once it is free (LDLM's rule); 0 if no client with that rule held it.
    pub fn size_to_remember(&self) -> u32 {
        self.size_to_remember
    }

    /// Oldest first.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// Before it is in the table.
    pub(in crate::domain) fn holds_mut(&mut self) -> &mut [Hold] {
        &mut self.holds
    }

    /// The same of its waiters.
    pub(in crate::domain) fn waiters_mut(&mut self) -> impl Iterator<Item = (&Place, &mut Waiter)> {
        self.queue.0.iter_mut().flat_map(|queue| queue.iter_mut())
    }

    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Before this moment nothing of it can have expired.
    pub fn next_deadline(&self) -> Deadline {
        self.next_deadline
    }

    /// Whether another hold of this size and weight fits.
    pub fn has_room(&self, size: u32, weight: u32) -> bool {
        self.delay().is_none() && (self.holds.is_empty() || self.has_room_beside_holds(size, weight))
    }

    fn has_room_beside_holds(&self, size: u32, weight: u32) -> bool {
        self.size == size && self.weight_held() + u64::from(weight) <= u64::from(size)
    }

    /// Whether the hold with this token is the only one.
    pub fn is_only(&self, token: Token) -> bool {
        matches!(self.holds.as_slice(), [hold] if hold.token == token)
    }

    /// Whether that hold may become exclusive: not while another that has ended may still be relied on.
    pub fn may_upgrade(&self, token: Token) -> bool {
        self.is_only(token) && self.delay().is_none()
    }

    pub fn is_unused(&self) -> bool {
        self.holds.is_empty() && self.queue.is_empty() && self.delay().is_none()
    }

    /// Adds the hold of a lock that was just made for it: the newest hold decides the size.
    pub(super) fn merge(&mut self, granted: Lock) {
        if self.size != granted.size {
            self.rare.iter_mut().for_each(|rare| rare.is_resized = false);
            self.drop_empty_rare();
        }
        self.size = granted.size;
        if granted.size_to_remember > 0 {
            self.size_to_remember = granted.size_to_remember;
        }
        self.next_deadline = self.next_deadline.min(granted.next_deadline);
        self.holds.extend(granted.holds);
        if let Some(rare) = granted.rare {
            self.rare.get_or_insert_default().extra_weight += rare.extra_weight;
        }
    }

    /// After a hold of this weight was removed.
    pub(super) fn weight_removed(&mut self, weight: u32) {
        if let Some(rare) = self.rare.as_mut().filter(|_| weight > 1) {
            rare.extra_weight = rare.extra_weight.saturating_sub(u64::from(weight - 1));
        }
        self.drop_empty_rare();
    }

    pub(super) fn change_rare(&mut self, change: impl FnOnce(&mut Rare)) {
        change(self.rare.get_or_insert_default());
        self.drop_empty_rare();
    }

    fn drop_empty_rare(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| **rare == Rare::default()) {
            self.rare = None;
        }
    }

    pub(super) fn recompute_next_deadline(&mut self) {
        let holds = self.holds.iter().map(|hold| hold.deadline);
        let waiters = self.queue.iter().map(|(_, waiter)| Deadline::at(waiter.deadline));
        let delay = self.delay().map(|delay| Deadline::at(delay.until));
        self.next_deadline = holds.chain(waiters).chain(delay).min().unwrap_or(Deadline::NEVER);
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

    /// The waiter for which a shared hold is to become exclusive.
    pub fn upgrade(&self) -> Option<(&Place, &Waiter)> {
        let foremost = self.iter().take_while(|((priority, _), _)| priority.0 == i32::MAX);
        foremost.into_iter().find(|(_, waiter)| waiter.upgrades.is_some())
    }

    pub fn last(&self) -> Option<&Place> {
        self.0.as_ref().and_then(|queue| queue.keys().next_back())
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

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Waiter> {
        self.0.iter_mut().flat_map(|queue| queue.values_mut())
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
