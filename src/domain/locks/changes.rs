//! Changes of a lock itself: its size, its mode, and the delay after an unclean end.

use super::{Delay, Lock, Locks};
use crate::domain::ids::Name;
use crate::domain::terms::Terms;
use crate::domain::time::Deadline;
use std::sync::Arc;

impl Locks {
    /// Another number of holds may have the lock; the waiters that asked for the size before ask for the new one.
    pub fn resize(&mut self, name: &Name, size: u32) {
        let Some(lock) = self.map.get_mut(name) else { return };
        let before = std::mem::replace(&mut lock.size, size);
        if lock.size_to_remember == before {
            lock.size_to_remember = size;
        }
        lock.queue.values_mut().filter(|waiter| waiter.size == before).for_each(|waiter| waiter.size = size);
        lock.change_rare(|rare| rare.is_resized = true);
        self.resize_in_terms(name, before, size);
    }

    /// Holds and waiters of several names say the size of each of them.
    fn resize_in_terms(&mut self, name: &Name, before: u32, size: u32) {
        let Some(lock) = self.map.get(name) else { return };
        let resized = |terms: &Terms| {
            terms.names.contains(&(name.clone(), before)).then(|| Arc::new(terms.with_size(name, size)))
        };
        let holds = lock.holds.iter().filter_map(|hold| Some((hold.token, resized(hold.terms()?)?)));
        let waiters = lock.queue.iter().filter_map(|(place, waiter)| Some((*place, resized(waiter.terms.as_ref()?)?)));
        let (holds, waiters): (Vec<_>, Vec<_>) = (holds.collect(), waiters.collect());
        for (token, terms) in holds {
            self.change_hold(name, token, |hold| hold.set_terms(terms.clone()));
        }
        for (place, terms) in waiters {
            for (other, _) in &terms.names {
                let waiter = self.map.get_mut(other).and_then(|lock| lock.queue.get_mut(&place));
                waiter.into_iter().for_each(|waiter| waiter.terms = Some(terms.clone()));
            }
        }
    }

    /// A shared lock becomes exclusive, or an exclusive one shared.
    pub fn convert(&mut self, name: &Name, size: u32) {
        if let Some(lock) = self.map.get_mut(name) {
            lock.size = size;
        }
    }

    /// Nobody is granted the lock for a while; there must be no delay yet.
    pub fn delay(&mut self, name: &Name, delay: Delay) {
        let Some((name, lock)) = self.map.get_key_value_mut(name) else { return };
        lock.change_rare(|rare| rare.delay = Some(delay));
        lock.next_deadline = lock.next_deadline.min(Deadline::at(delay.until));
        self.index.delays.insert((delay.until, name.clone()));
    }

    pub fn end_delay(&mut self, name: &Name) {
        let Some(delay) = self.get(name).and_then(Lock::delay) else { return };
        self.index.delays.remove(&(delay.until, name.clone()));
        if let Some(lock) = self.map.get_mut(name) {
            lock.change_rare(|rare| rare.delay = None);
        }
    }
}
