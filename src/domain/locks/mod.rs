//! All locks together with their indexes. Nothing else changes a hold, a waiter or a deadline, so the indexes cannot
//! disagree with the locks.

mod changes;
mod hold;
mod index;
mod lock;
mod waiter;

pub use hold::{Delivery, DeliveryState, Hold, Owner, Tracked};
pub use lock::{Delay, Lock, Queue, Rare};
pub use waiter::{Orphan, Place, Waiter, WaiterState};

use super::cow_map::{CowMap, FrozenMap, ShardKey, stable_hash};
use super::ids::{HoldKey, Incarnation, Name, SessionId, Token, WaiterId};
use super::terms::remembered_size;
use super::time::{Deadline, Timestamp};
use arcstr::ArcStr;
use index::{HoldKeys, Index};
use std::collections::BTreeSet;

#[derive(Default)]
pub struct Locks {
    map: CowMap<Name, Lock>,
    index: Index,
}

impl ShardKey for Name {
    fn shard_hash(&self) -> u64 {
        stable_hash(self.as_bytes())
    }
}

/// Reading.
impl Locks {
    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn hold_count(&self) -> u64 {
        self.index.hold_count
    }

    /// Locks that nobody is granted for a while.
    pub fn delay_count(&self) -> u64 {
        self.index.delays.len() as u64
    }

    pub fn waiter_count(&self) -> u64 {
        self.index.waiter_count
    }

    pub fn get(&self, name: &Name) -> Option<&Lock> {
        self.map.get(name)
    }

    /// The name as the table stores it, for callers that keep it.
    pub fn get_key_value(&self, name: &Name) -> Option<(&Name, &Lock)> {
        self.map.get_key_value(name)
    }

    pub fn hold(&self, name: &Name, token: Token) -> Option<&Hold> {
        self.map.get(name)?.holds.iter().find(|hold| hold.token == token)
    }

    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.map.iter().map(|(name, _)| name)
    }

    /// The locks behind this one, in the order of the table; all of them without one.
    pub fn after<'a>(&'a self, name: Option<&Name>) -> impl Iterator<Item = (&'a Name, &'a Lock)> {
        self.map.iter_after(name)
    }

    pub fn freeze(&self) -> FrozenMap<Name, Lock> {
        self.map.freeze()
    }

    /// The end of the first lease, wait or delay.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let lease = self.index.leases.first_key_value().map(|((end, _), _)| *end);
        let wait = self.index.waits.first_key_value().map(|((end, _), _)| *end);
        let delay = self.index.delays.first().map(|(end, _)| *end);
        lease.into_iter().chain(wait).chain(delay).min()
    }

    /// A lock with a lease, wait or delay that has ended, leases first.
    pub fn due(&self, now: Timestamp) -> Option<&Name> {
        let lease = self.index.leases.first_key_value().filter(|((end, _), _)| end.is_past(now));
        let wait = || self.index.waits.first_key_value().filter(|((end, _), _)| end.is_past(now));
        let delay = || self.index.delays.first().filter(|(end, _)| end.is_past(now));
        let lease_or_wait = lease.map(|(_, name)| name).or_else(|| wait().map(|(_, name)| name));
        lease_or_wait.or_else(|| delay().map(|(_, name)| name))
    }

    /// How many leases, waits and delays may expire.
    pub fn deadline_counts(&self) -> (usize, usize, usize) {
        (self.index.leases.len(), self.index.waits.len(), self.index.delays.len())
    }

    /// What a session holds: the token of each hold, and a name of it.
    pub fn holds_of(&self, session: SessionId) -> impl Iterator<Item = (Token, &Name)> {
        let range = (session, Token(0))..=(session, Token(u64::MAX));
        self.index.holds_of.range(range).map(|((_, token), name)| (*token, name))
    }

    /// What a session waits for: the number of each wait, and a name of it.
    pub fn waits_of(&self, session: SessionId) -> impl Iterator<Item = (WaiterId, &Name)> {
        let range = (session, WaiterId(0))..=(session, WaiterId(u64::MAX));
        self.index.waiters_of.range(range).map(|((_, id), name)| (*id, name))
    }

    /// The same for an owner label.
    pub fn waits_of_label(&self, label: &ArcStr) -> impl Iterator<Item = (WaiterId, &Name)> {
        let of_label = self.index.waiters_labelled.range((label.clone(), WaiterId(0), Name::new())..);
        of_label.take_while(move |(of, _, _)| of == label).map(|(_, id, name)| (*id, name))
    }

    /// The lock of some hold or waiter of this session, holds first.
    pub fn any_of(&self, session: SessionId) -> Option<&Name> {
        self.index.any_of(session)
    }

    /// The lock and place of the waiter with this key.
    pub fn waiting(&self, key: HoldKey) -> Option<&(Name, Place)> {
        self.index.waiting_keys.get(&key)
    }

    /// The incarnations that have waiters to answer or holds to confirm.
    pub fn answering(&self) -> BTreeSet<Incarnation> {
        self.index.answering()
    }

    /// The waiters that this incarnation has to answer.
    pub fn attached_to(&self, incarnation: Incarnation) -> impl Iterator<Item = &(Name, Place)> {
        let range = (incarnation, WaiterId(0))..=(incarnation, WaiterId(u64::MAX));
        self.index.attached.range(range).map(|(_, place)| place)
    }

    /// The holds that this incarnation was granted and has not confirmed.
    pub fn unconfirmed_by(&self, incarnation: Incarnation) -> impl Iterator<Item = (&Name, Token)> {
        let range = (incarnation, Token(0))..=(incarnation, Token(u64::MAX));
        self.index.unconfirmed.range(range).map(|((_, token), name)| (name, *token))
    }
}

/// Writing. A hold or waiter of several names changes under all of them at once.
impl Locks {
    /// Adds a lock from a snapshot; whether it is new.
    pub fn insert(&mut self, name: Name, lock: Lock) -> bool {
        lock.holds.iter().for_each(|hold| self.index.add_hold(&name, hold));
        lock.queue.iter().for_each(|(place, waiter)| self.index.add_waiter(&name, *place, waiter));
        lock.delay().into_iter().for_each(|delay| _ = self.index.delays.insert((delay.until, name.clone())));
        self.map.insert(name, lock).is_none()
    }

    pub fn add_hold(&mut self, name: Name, size: u32, remembers_size: bool, hold: Hold) {
        match hold.shared_terms().filter(|terms| !terms.names.is_empty()) {
            None => self.add_part_of_hold(name, size, remembers_size, hold),
            Some(terms) => terms
                .names
                .iter()
                .for_each(|(name, size)| self.add_part_of_hold(name.clone(), *size, remembers_size, hold.clone())),
        }
    }

    fn add_part_of_hold(&mut self, name: Name, size: u32, remembers_size: bool, hold: Hold) {
        let (next_deadline, extra_weight) = (hold.deadline, u64::from(hold.weight().saturating_sub(1)));
        let rare = (extra_weight > 0).then(|| Box::new(Rare { extra_weight, ..Rare::default() }));
        let size_to_remember = if remembers_size { remembered_size(size) } else { 0 };
        let lock = Lock { size, size_to_remember, next_deadline, holds: vec![hold], queue: Queue::default(), rare };
        let (name, lock) = self.map.upsert(name, lock, Lock::merge);
        if let Some(hold) = lock.holds.last() {
            self.index.add_hold(&name, hold);
        }
    }

    pub fn remove_hold(&mut self, name: &Name, token: Token) -> Option<Hold> {
        let hold = self.remove_part_of_hold(name, token)?;
        self.remove_other_parts(name, &hold);
        Some(hold)
    }

    fn remove_part_of_hold(&mut self, name: &Name, token: Token) -> Option<Hold> {
        let lock = self.map.get_mut(name)?;
        let at = lock.holds.iter().position(|hold| hold.token == token)?;
        let hold = lock.holds.remove(at);
        lock.weight_removed(hold.weight());
        self.index.remove_hold(name, &hold);
        Some(hold)
    }

    fn remove_other_parts(&mut self, name: &Name, hold: &Hold) {
        for (other, _) in hold.names().iter().filter(|(other, _)| other != name) {
            self.remove_part_of_hold(other, hold.token);
        }
    }

    /// Removes the holds for which there is a reason, and gives them with it. One pass: thousands may end together.
    pub fn remove_holds<R>(&mut self, name: &Name, reason: impl Fn(&Hold) -> Option<R>) -> Vec<(Hold, R)> {
        let has_reason = |hold: &Hold| reason(hold).is_some();
        if !self.map.get(name).is_some_and(|lock| lock.holds.iter().any(has_reason)) {
            return Vec::new();
        }
        let Some(lock) = self.map.get_mut(name) else { return Vec::new() };
        let ended = lock.holds.extract_if(.., |hold| has_reason(hold));
        let removed: Vec<_> = ended.filter_map(|hold| reason(&hold).map(|reason| (hold, reason))).collect();
        removed.iter().for_each(|(hold, _)| lock.weight_removed(hold.weight()));
        for (hold, _) in &removed {
            self.index.remove_hold(name, hold);
            self.remove_other_parts(name, hold);
        }
        removed
    }

    /// Changes a hold; its indexes follow.
    pub fn change_hold(&mut self, name: &Name, token: Token, mut change: impl FnMut(&mut Hold)) -> Option<&Hold> {
        let terms = self.hold(name, token)?.shared_terms();
        let names = terms.iter().flat_map(|terms| &terms.names).map(|(other, _)| other);
        for other in names.filter(|other| *other != name) {
            self.change_part_of_hold(other, token, &mut change);
        }
        self.change_part_of_hold(name, token, change)
    }

    fn change_part_of_hold(&mut self, name: &Name, token: Token, change: impl FnOnce(&mut Hold)) -> Option<&Hold> {
        let (name, lock) = self.map.get_key_value_mut(name)?;
        let hold = lock.holds.iter_mut().find(|hold| hold.token == token)?;
        let before = HoldKeys::of(name, hold);
        change(hold);
        self.index.move_hold(name, before, HoldKeys::of(name, hold));
        lock.next_deadline = lock.next_deadline.min(hold.deadline);
        Some(hold)
    }

    pub fn add_waiter(&mut self, name: &Name, place: Place, waiter: Waiter) {
        match waiter.terms.clone().filter(|terms| !terms.names.is_empty()) {
            None => self.add_part_of_waiter(name, place, waiter),
            Some(terms) => terms.names.iter().for_each(|(name, size)| {
                self.add_part_of_waiter(name, place, Waiter { size: *size, ..waiter.clone() })
            }),
        }
    }

    /// A waiter for several names may wait in the queue of a lock that is free.
    fn add_part_of_waiter(&mut self, name: &Name, place: Place, waiter: Waiter) {
        if self.map.get(name).is_none() {
            self.map.insert(name.clone(), Lock::new(waiter.size, 0, Vec::new(), Queue::default(), None));
        }
        let Some((name, lock)) = self.map.get_key_value_mut(name) else { return };
        self.index.add_waiter(name, place, &waiter);
        lock.next_deadline = lock.next_deadline.min(Deadline::at(waiter.deadline));
        lock.queue.insert(place, waiter);
    }

    pub fn remove_waiter(&mut self, name: &Name, place: Place) -> Option<Waiter> {
        let waiter = self.remove_part_of_waiter(name, place)?;
        for (other, _) in waiter.names().iter().filter(|(other, _)| other != name) {
            self.remove_part_of_waiter(other, place);
        }
        Some(waiter)
    }

    fn remove_part_of_waiter(&mut self, name: &Name, place: Place) -> Option<Waiter> {
        let waiter = self.map.get_mut(name)?.queue.remove(&place)?;
        self.index.remove_waiter(name, place, &waiter);
        Some(waiter)
    }

    /// The request of a waiter is lost; the time for a retry ends at `until`.
    pub fn orphan_waiter(&mut self, name: &Name, place: Place, until: Timestamp) {
        let Some(mut waiter) = self.remove_waiter(name, place) else { return };
        waiter.orphan(until);
        self.add_waiter(name, place, waiter);
    }

    /// Removes a lock that has neither holds nor waiters.
    pub fn remove_unused(&mut self, name: &Name) -> Option<Lock> {
        self.map.remove_if(name, Lock::is_unused)
    }

    /// After holds or waiters were removed.
    pub fn recompute_next_deadline(&mut self, name: &Name) {
        if let Some(lock) = self.map.get_mut(name) {
            lock.recompute_next_deadline();
        }
    }

    /// Drops the first lease, wait or delay from its index: its lock does not have it.
    pub fn drop_due(&mut self, now: Timestamp) {
        if self.index.leases.first_key_value().is_some_and(|((end, _), _)| end.is_past(now)) {
            self.index.leases.pop_first();
        } else if self.index.waits.first_key_value().is_some_and(|((end, _), _)| end.is_past(now)) {
            self.index.waits.pop_first();
        } else {
            self.index.delays.pop_first();
        }
    }

    /// Drops a hold or waiter of this session from the indexes: its lock does not have it.
    pub fn forget_any_of(&mut self, session: SessionId) {
        self.index.forget_any_of(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{CommandId, Dialect};
    use crate::domain::{Caller, Metadata};

    fn lock_with(deadline: Timestamp, delivery: Delivery) -> (Locks, Name) {
        let (mut locks, name) = (Locks::default(), Name::from("a"));
        let hold = Hold {
            key: HoldKey([1; 16]),
            token: Token(1),
            since: Timestamp(0).into(),
            deadline: Deadline::at(deadline),
            owner: Owner::Bearer,
            metadata: Metadata::default(),
            dialect: Dialect::LdlmRest,
            caller: Caller::NOBODY,
            delivery,
        };
        locks.add_hold(name.clone(), 1, false, hold);
        (locks, name)
    }

    fn waiter(command: CommandId) -> Waiter {
        Waiter {
            state: WaiterState::Attached(command),
            key: HoldKey([2; 16]),
            since: Timestamp(0),
            timeout_ms: 50,
            deadline: Timestamp(50),
            owner: Owner::Bearer,
            size: 1,
            remembers_size: false,
            lease_ms: Some(1),
            metadata: Metadata::default(),
            dialect: Dialect::LdlmRest,
            idempotency_id: None,
            caller: Caller::NOBODY,
            terms: None,
            upgrades: None,
        }
    }

    #[test]
    fn changed_deadline_moves_in_the_index() {
        let (mut locks, name) = lock_with(Timestamp(10), Delivery::Answered);
        for deadline in [Timestamp(30), Timestamp(20)] {
            locks.change_hold(&name, Token(1), |hold| hold.deadline = Deadline::at(deadline));
            assert_eq!(locks.next_deadline(), Some(deadline));
            assert!(locks.get(&name).is_some_and(|lock| !lock.next_deadline().is_past(Timestamp(10))));
        }
        assert_eq!(locks.deadline_counts(), (1, 0, 0));
        locks.remove_hold(&name, Token(1));
        assert_eq!((locks.next_deadline(), locks.hold_count()), (None, 0));
    }

    #[test]
    fn confirmed_hold_leaves_the_index_of_unconfirmed_ones() {
        let incarnation = Incarnation(7);
        let state = DeliveryState::Unconfirmed(incarnation);
        let tracked =
            Tracked { state, idempotency_id: None, attempt: Some(HoldKey([1; 16])), lease_ms: None, terms: None };
        let (mut locks, name) = lock_with(Timestamp(10), Delivery::Tracked(Box::new(tracked)));
        assert_eq!(locks.unconfirmed_by(incarnation).collect::<Vec<_>>(), [(&name, Token(1))]);
        let hold = locks.change_hold(&name, Token(1), |hold| hold.confirm(Some(hold.key)));
        assert_eq!(hold.map(|hold| &hold.delivery), Some(&Delivery::Answered));
        assert!(locks.answering().is_empty());
    }

    #[test]
    fn orphaned_waiter_is_answered_by_no_incarnation() {
        let (mut locks, name) = lock_with(Timestamp(100), Delivery::Answered);
        let (place, incarnation) = ((std::cmp::Reverse(0), WaiterId(0)), Incarnation(7));
        locks.add_waiter(&name, place, waiter(CommandId { incarnation, sequence: 1 }));
        assert_eq!(locks.attached_to(incarnation).count(), 1);
        locks.orphan_waiter(&name, place, Timestamp(40));
        assert_eq!((locks.attached_to(incarnation).count(), locks.waiter_count()), (0, 1));
        assert_eq!(locks.next_deadline(), Some(Timestamp(40)));
    }
}
