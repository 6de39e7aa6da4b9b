//! The waiters of one lock: by priority, then by arrival.

use super::waiter::{Place, Waiter};
use crate::mutants::planted;
use std::cmp::Reverse;
use std::collections::BTreeMap;

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
