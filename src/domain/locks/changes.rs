//! Changes of a lock itself: its size, its mode, and the delay after an unclean end.

use super::{Lock, Locks};
use crate::domain::ids::{Name, Token};
use crate::domain::time::{Deadline, Timestamp};

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
    }

    /// A shared lock becomes exclusive, or an exclusive one shared.
    pub fn convert(&mut self, name: &Name, size: u32) {
        if let Some(lock) = self.map.get_mut(name) {
            lock.size = size;
        }
    }

    /// Nobody is granted the lock before `until`: the hold with this token ended. An earlier, longer delay stays.
    pub fn delay(&mut self, name: &Name, until: Timestamp, token: Token) {
        let Some((name, lock)) = self.map.get_key_value_mut(name) else { return };
        if lock.delay().is_some_and(|(before, _)| before >= until) {
            return;
        }
        lock.delay().into_iter().for_each(|(before, _)| _ = self.index.delays.remove(&(before, name.clone())));
        lock.change_rare(|rare| rare.delay = Some((until, token)));
        lock.next_deadline = lock.next_deadline.min(Deadline::at(until));
        self.index.delays.insert((until, name.clone()));
    }

    /// Ends a delay that is over.
    pub fn end_delay(&mut self, name: &Name, now: Timestamp) {
        let Some((until, _)) = self.get(name).and_then(Lock::delay).filter(|(until, _)| until.is_past(now)) else {
            return;
        };
        self.index.delays.remove(&(until, name.clone()));
        if let Some(lock) = self.map.get_mut(name) {
            lock.change_rare(|rare| rare.delay = None);
        }
    }
}
