//! What has ended of one lock leaves it, before anybody looks.

use super::ids::Name;
use super::lock::{Hold, Place, Waiter};
use super::outcome::{EndReason, WaitEnd};
use super::table::{Run, Table};

impl Table {
    /// Removes what has ended from a lock and hands on what became free. Called before a command looks at it.
    pub(super) fn settle(&mut self, run: &mut Run, name: &Name) {
        let Some(lock) = self.locks.get(name) else { return };
        if !lock.next_due.is_past(self.now) && self.index.ended_sessions.is_empty() {
            return;
        }
        self.remove_ended_holds(run, name);
        self.hand_on(run, name);
        if self.remove_ended_waits(run, name) {
            self.hand_on(run, name);
        }
        if let Some(lock) = self.locks.get_mut(name) {
            lock.recompute_next_due();
        }
    }

    fn remove_ended_holds(&mut self, run: &mut Run, name: &Name) {
        let Some(lock) = self.locks.get(name) else { return };
        let reasons: Vec<Option<EndReason>> = lock.holds.iter().map(|hold| self.why_ended(hold)).collect();
        if reasons.iter().all(Option::is_none) {
            return;
        }
        // In one pass: a lock may have thousands of holds that end together.
        let mut reasons = reasons.into_iter();
        let Some(lock) = self.locks.get_mut(name) else { return };
        let holds = std::mem::take(&mut lock.holds);
        let (ended, kept): (Vec<_>, Vec<_>) =
            holds.into_iter().map(|hold| (hold, reasons.next().flatten())).partition(|(_, why)| why.is_some());
        lock.holds = kept.into_iter().map(|(hold, _)| hold).collect();
        for (hold, why) in ended.into_iter().filter_map(|(hold, why)| Some((hold, why?))) {
            self.forget_hold(run, name, &hold, why);
        }
    }

    fn why_ended(&self, hold: &Hold) -> Option<EndReason> {
        if hold.deadline.is_past(self.now) {
            return Some(EndReason::Expired);
        }
        let session = hold.owner.session()?;
        (!self.is_live(session)).then_some(EndReason::SessionEnded)
    }

    fn remove_ended_waits(&mut self, run: &mut Run, name: &Name) -> bool {
        let Some(lock) = self.locks.get(name) else { return false };
        let ended: Vec<(Place, WaitEnd)> =
            lock.queue.iter().filter_map(|(place, waiter)| Some((*place, self.why_wait_ended(waiter)?))).collect();
        for (place, why) in &ended {
            self.end_wait(run, name, *place, *why);
        }
        !ended.is_empty()
    }

    fn why_wait_ended(&self, waiter: &Waiter) -> Option<WaitEnd> {
        if waiter.owner.session().is_some_and(|session| !self.is_live(session)) {
            return Some(WaitEnd::SessionEnded);
        }
        waiter.deadline.is_past(self.now).then_some(WaitEnd::TimedOut)
    }
}
