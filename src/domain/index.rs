//! What is due when, and what belongs to whom: derived from the locks and sessions, never in a snapshot.

use super::ids::{CommandId, HoldKey, Incarnation, Name, RequestId, SessionId, Token, WaiterId};
use super::lock::{Hold, Place, Waiter};
use super::time::Timestamp;
use super::usage::{Usage, Usages};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

#[derive(Default)]
pub struct Index {
    /// Leases by their end.
    pub leases: BTreeMap<(Timestamp, Token), Name>,
    /// Waits by their end.
    pub waits: BTreeMap<(Timestamp, WaiterId), Name>,
    /// Idle timeouts by their end; a session that waits has none.
    pub sessions: BTreeSet<(Timestamp, SessionId)>,
    /// Ended sessions whose holds and waiters are not all swept yet.
    pub ended_sessions: BTreeSet<SessionId>,
    pub holds_of: BTreeMap<(SessionId, Token), Name>,
    pub waiters_of: BTreeMap<(SessionId, WaiterId), Name>,
    /// Where to find a waiter by the key that its hold will have.
    pub waiting_keys: BTreeMap<HoldKey, (Name, Place)>,
    /// Attached waiters by the process run that answers them.
    pub attached: BTreeMap<(Incarnation, WaiterId), (Name, Place)>,
    /// Holds that a process run was granted and has not confirmed.
    pub unconfirmed: BTreeMap<(Incarnation, Token), Name>,
    /// Requests whose session or hold has ended, by the end of the time for which they are kept.
    pub ended_requests: BTreeSet<(Timestamp, RequestId)>,
    pub hold_count: u64,
    pub usages: Usages,
}

impl Index {
    pub fn add_hold(&mut self, name: &Name, hold: &Hold) {
        self.hold_count += 1;
        self.usages.add(hold.caller, Usage::of_hold(name, hold));
        self.add_lease(name, hold);
        if let Some(session) = hold.owner.session() {
            self.holds_of.insert((session, hold.token), name.clone());
        }
        if let Some(run) = hold.unconfirmed() {
            self.unconfirmed.insert((run, hold.token), name.clone());
        }
    }

    pub fn remove_hold(&mut self, name: &Name, hold: &Hold) {
        self.hold_count = self.hold_count.saturating_sub(1);
        self.usages.remove(hold.caller, Usage::of_hold(name, hold));
        self.remove_lease(hold);
        if let Some(session) = hold.owner.session() {
            self.holds_of.remove(&(session, hold.token));
        }
        self.remove_unconfirmed(hold);
    }

    pub fn remove_unconfirmed(&mut self, hold: &Hold) {
        if let Some(run) = hold.unconfirmed() {
            self.unconfirmed.remove(&(run, hold.token));
        }
    }

    pub fn add_lease(&mut self, name: &Name, hold: &Hold) {
        if hold.lease().is_some() {
            self.leases.insert((hold.deadline, hold.token), name.clone());
        }
    }

    pub fn remove_lease(&mut self, hold: &Hold) {
        if hold.lease().is_some() {
            self.leases.remove(&(hold.deadline, hold.token));
        }
    }

    pub fn add_waiter(&mut self, name: &Name, place: Place, waiter: &Waiter) {
        self.usages.add(waiter.caller, Usage::of_waiter(name, waiter));
        self.waits.insert((waiter.deadline, place.1), name.clone());
        self.waiting_keys.insert(waiter.key, (name.clone(), place));
        if let Some(session) = waiter.owner.session() {
            self.waiters_of.insert((session, place.1), name.clone());
        }
        if let Some(CommandId { incarnation, .. }) = waiter.answered_by() {
            self.attached.insert((incarnation, place.1), (name.clone(), place));
        }
    }

    pub fn remove_waiter(&mut self, name: &Name, place: Place, waiter: &Waiter) {
        self.usages.remove(waiter.caller, Usage::of_waiter(name, waiter));
        self.waits.remove(&(waiter.deadline, place.1));
        self.waiting_keys.remove(&waiter.key);
        if let Some(session) = waiter.owner.session() {
            self.waiters_of.remove(&(session, place.1));
        }
        if let Some(CommandId { incarnation, .. }) = waiter.answered_by() {
            self.attached.remove(&(incarnation, place.1));
        }
    }

    /// Forgets a hold or waiter of this session that no lock knows; see `Table::sweep`.
    pub fn forget_any_of(&mut self, session: SessionId) {
        let hold = self.holds_of.range((session, Token(0))..).next().map(|(key, _)| *key);
        if let Some(key) = hold.filter(|(owner, _)| *owner == session) {
            self.holds_of.remove(&key);
        } else if let Some((key, _)) = self.waiters_of.range((session, WaiterId(0))..).next() {
            let key = *key;
            self.waiters_of.remove(&key);
        }
    }

    /// The process runs that have something to answer.
    pub fn answering_runs(&self) -> BTreeSet<Incarnation> {
        let mut runs = BTreeSet::new();
        let mut after = Bound::Unbounded;
        while let Some(((run, _), _)) = self.attached.range((after, Bound::Unbounded)).next() {
            runs.insert(*run);
            after = Bound::Excluded((*run, WaiterId(u64::MAX)));
        }
        let mut after = Bound::Unbounded;
        while let Some(((run, _), _)) = self.unconfirmed.range((after, Bound::Unbounded)).next() {
            runs.insert(*run);
            after = Bound::Excluded((*run, Token(u64::MAX)));
        }
        runs
    }

    pub fn waiter_count(&self) -> u64 {
        self.waiting_keys.len() as u64
    }

    /// Some hold or waiter of this session, holds first.
    pub fn any_of(&self, session: SessionId) -> Option<&Name> {
        let hold = self.holds_of.range((session, Token(0))..).next().filter(|((owner, _), _)| *owner == session);
        let waiter =
            || self.waiters_of.range((session, WaiterId(0))..).next().filter(|((owner, _), _)| *owner == session);
        hold.map(|(_, name)| name).or_else(|| waiter().map(|(_, name)| name))
    }
}
