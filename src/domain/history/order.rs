//! Which ended hold is forgotten next: the oldest of the caller that has most.
//!
//! Ends come in the order of time, so those of one caller stand in a queue. One that left its ring before its turn keeps an
//! empty place, until it is the first, or there are more empty places than others.

use super::past_hold::PastHold;
use crate::domain::ids::{Caller, Name, Token};
use crate::domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Callers are compared by what they have in steps of so many bytes, so that their order seldom changes.
const STEP_BYTES: u64 = 4 * 1024;

/// Fewer empty places, or less unused memory, are left alone.
const SPARE_PLACES: usize = 32;

#[derive(Default)]
pub struct Order {
    shares: BTreeMap<Caller, Share>,
    /// The callers by the steps that they have.
    by_steps: BTreeSet<(u64, Caller)>,
    count: usize,
    bytes: u64,
}

/// What one caller has.
#[derive(Default)]
struct Share {
    queue: Queue,
    bytes: u64,
}

/// Ended holds, oldest first: of those that ended at the same time by their tokens, then by their names.
#[derive(Default)]
struct Queue {
    /// The first is not empty.
    places: VecDeque<Place>,
    empty: usize,
}

struct Place {
    ended: Timestamp,
    token: Token,
    /// `None` if it has left.
    name: Option<Name>,
}

/// An ended hold that was the next to be forgotten.
pub struct Next {
    pub name: Name,
    pub ended: Timestamp,
    pub token: Token,
}

impl Order {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn add(&mut self, name: Name, past: &PastHold) {
        let (caller, bytes) = (past.counts_for(), past.bytes(&name));
        let share = self.shares.entry(caller).or_default();
        share.queue.add(past.ended, past.token, name);
        let before = share.bytes;
        share.bytes = before.saturating_add(bytes);
        let after = share.bytes;
        self.moved(caller, before, after);
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A hold has left its ring.
    pub fn remove(&mut self, name: &Name, past: &PastHold) {
        let share = self.shares.get_mut(&past.counts_for());
        if share.is_some_and(|share| share.queue.remove(past.ended, past.token, name)) {
            self.count -= 1;
            self.shrink(past.counts_for(), past.bytes(name));
        }
    }

    /// Takes the next one out. [`Order::taken`] has to follow.
    pub fn take_next(&mut self) -> Option<Next> {
        let (_, caller) = self.by_steps.last()?;
        let next = self.shares.get_mut(caller)?.queue.pop()?;
        self.count -= 1;
        Some(next)
    }

    /// What was taken out had these bytes.
    pub fn taken(&mut self, name: &Name, past: &PastHold) {
        self.shrink(past.counts_for(), past.bytes(name));
    }

    fn shrink(&mut self, caller: Caller, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let Some(share) = self.shares.get_mut(&caller) else { return };
        let before = share.bytes;
        share.bytes = before.saturating_sub(bytes);
        let after = share.bytes;
        if after == 0 {
            self.shares.remove(&caller);
        }
        self.moved(caller, before, after);
    }

    fn moved(&mut self, caller: Caller, before: u64, after: u64) {
        if before > 0 && after > 0 && before / STEP_BYTES == after / STEP_BYTES {
            return;
        }
        self.by_steps.remove(&(before / STEP_BYTES, caller));
        if after > 0 {
            self.by_steps.insert((after / STEP_BYTES, caller));
        }
    }
}

impl Queue {
    /// Nearly always at the end: only holds that end at the same time are not in the order of their ends.
    fn add(&mut self, ended: Timestamp, token: Token, name: Name) {
        let place = Place { ended, token, name: Some(name) };
        match self.places.back() {
            Some(last) if last.when() >= place.when() => self.places.insert(self.place_for(&place), place),
            _ => self.places.push_back(place),
        }
    }

    fn place_for(&self, place: &Place) -> usize {
        let first = self.places.partition_point(|other| other.when() < place.when());
        let equal = self.places.range(first..).take_while(|other| other.when() == place.when());
        first + equal.take_while(|other| other.name <= place.name).count()
    }

    /// Whether it was there.
    fn remove(&mut self, ended: Timestamp, token: Token, name: &Name) -> bool {
        let when = (ended, token);
        let first = match self.places.front() {
            Some(front) if front.when() == when => 0,
            _ => self.places.partition_point(|place| place.when() < when),
        };
        let mut equal = self.places.range_mut(first..).take_while(|place| place.when() == when);
        let Some(place) = equal.find(|place| place.name.as_ref() == Some(name)) else { return false };
        place.name = None;
        self.empty += 1;
        self.tidy();
        true
    }

    fn pop(&mut self) -> Option<Next> {
        let Place { ended, token, name } = self.places.pop_front()?;
        self.tidy();
        Some(Next { name: name?, ended, token })
    }

    /// The first is to be one that is there, and memory without use has a bound.
    fn tidy(&mut self) {
        while self.places.front().is_some_and(|place| place.name.is_none()) {
            self.places.pop_front();
            self.empty -= 1;
        }
        if self.empty > SPARE_PLACES.max(self.places.len() / 2) {
            self.places.retain(|place| place.name.is_some());
            self.empty = 0;
        }
        if self.places.capacity() > SPARE_PLACES.max(4 * self.places.len()) {
            self.places.shrink_to(2 * self.places.len());
        }
    }
}

impl Place {
    fn when(&self) -> (Timestamp, Token) {
        (self.ended, self.token)
    }
}
