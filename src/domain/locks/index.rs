//! Indexes over all holds and waiters: by deadline, session, key and incarnation. Derived, so never in a snapshot.
//!
//! A hold or waiter of several names is found under the first of them.

use super::hold::Hold;
use super::waiter::{Place, Waiter};
use crate::domain::ids::{HoldKey, Incarnation, Name, SessionId, Token, WaiterId};
use crate::domain::time::Timestamp;
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

#[derive(Default)]
pub struct Index {
    /// Leases by their end.
    pub leases: BTreeMap<(Timestamp, Token), Name>,
    /// Waits by their end.
    pub waits: BTreeMap<(Timestamp, WaiterId), Name>,
    pub holds_of: BTreeMap<(SessionId, Token), Name>,
    pub waiters_of: BTreeMap<(SessionId, WaiterId), Name>,
    /// Waiters by the key that their hold will have.
    pub waiting_keys: BTreeMap<HoldKey, (Name, Place)>,
    /// Attached waiters by the incarnation that answers them.
    pub attached: BTreeMap<(Incarnation, WaiterId), (Name, Place)>,
    /// Holds that an incarnation was granted and has not confirmed.
    pub unconfirmed: BTreeMap<(Incarnation, Token), Name>,
    /// Waiters with an owner label.
    pub waiters_labelled: BTreeSet<(ArcStr, WaiterId, Name)>,
    /// Locks whose last hold's end delays the next grant, by when that is over.
    pub delays: BTreeSet<(Timestamp, Name)>,
    /// A hold or waiter of several names counts once for each.
    pub hold_count: u64,
    pub waiter_count: u64,
}

/// The keys under which a hold is found.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct HoldKeys {
    lease: Option<(Timestamp, Token)>,
    session: Option<(SessionId, Token)>,
    unconfirmed: Option<(Incarnation, Token)>,
}

impl HoldKeys {
    pub fn of(name: &Name, hold: &Hold) -> HoldKeys {
        if !hold.is_led_by(name) {
            return HoldKeys::default();
        }
        HoldKeys {
            lease: hold.deadline.moment().map(|end| (end, hold.token)),
            session: hold.owner.session().map(|session| (session, hold.token)),
            unconfirmed: hold.unconfirmed().map(|incarnation| (incarnation, hold.token)),
        }
    }
}

impl Index {
    pub fn add_hold(&mut self, name: &Name, hold: &Hold) {
        self.hold_count += 1;
        self.move_hold(name, HoldKeys::default(), HoldKeys::of(name, hold));
    }

    pub fn remove_hold(&mut self, name: &Name, hold: &Hold) {
        self.hold_count = self.hold_count.saturating_sub(1);
        self.move_hold(name, HoldKeys::of(name, hold), HoldKeys::default());
    }

    /// A hold has changed. Inlined: adding and removing a hold are the same with nothing on one side.
    #[inline(always)]
    pub fn move_hold(&mut self, name: &Name, before: HoldKeys, after: HoldKeys) {
        replace(&mut self.leases, name, before.lease, after.lease);
        replace(&mut self.holds_of, name, before.session, after.session);
        replace(&mut self.unconfirmed, name, before.unconfirmed, after.unconfirmed);
    }

    pub fn add_waiter(&mut self, name: &Name, place: Place, waiter: &Waiter) {
        self.waiter_count += 1;
        if !waiter.is_led_by(name) {
            return;
        }
        self.waits.insert((waiter.deadline, place.1), name.clone());
        self.waiting_keys.insert(waiter.key, (name.clone(), place));
        if let Some(session) = waiter.owner.session() {
            self.waiters_of.insert((session, place.1), name.clone());
        }
        if let Some(label) = waiter.owner.label() {
            self.waiters_labelled.insert((label.clone(), place.1, name.clone()));
        }
        if let Some(command) = waiter.answered_by() {
            self.attached.insert((command.incarnation, place.1), (name.clone(), place));
        }
    }

    pub fn remove_waiter(&mut self, name: &Name, place: Place, waiter: &Waiter) {
        self.waiter_count = self.waiter_count.saturating_sub(1);
        if !waiter.is_led_by(name) {
            return;
        }
        self.waits.remove(&(waiter.deadline, place.1));
        self.waiting_keys.remove(&waiter.key);
        if let Some(session) = waiter.owner.session() {
            self.waiters_of.remove(&(session, place.1));
        }
        if let Some(label) = waiter.owner.label() {
            self.waiters_labelled.remove(&(label.clone(), place.1, name.clone()));
        }
        if let Some(command) = waiter.answered_by() {
            self.attached.remove(&(command.incarnation, place.1));
        }
    }

    pub fn answering(&self) -> BTreeSet<Incarnation> {
        let attached = incarnations(&self.attached, WaiterId(u64::MAX));
        attached.chain(incarnations(&self.unconfirmed, Token(u64::MAX))).collect()
    }

    pub fn any_of(&self, session: SessionId) -> Option<&Name> {
        let hold = first_of(&self.holds_of, session, Token(0)).map(|(_, name)| name);
        hold.or_else(|| first_of(&self.waiters_of, session, WaiterId(0)).map(|(_, name)| name))
    }

    /// Drops the entry that [`Index::any_of`] finds.
    pub fn forget_any_of(&mut self, session: SessionId) {
        if let Some(key) = first_of(&self.holds_of, session, Token(0)).map(|(key, _)| *key) {
            self.holds_of.remove(&key);
        } else if let Some(key) = first_of(&self.waiters_of, session, WaiterId(0)).map(|(key, _)| *key) {
            self.waiters_of.remove(&key);
        }
    }
}

/// Each incarnation once.
fn incarnations<T: Ord + Copy, V>(map: &BTreeMap<(Incarnation, T), V>, last: T) -> impl Iterator<Item = Incarnation> {
    let mut after = Bound::Unbounded;
    std::iter::from_fn(move || {
        let ((incarnation, _), _) = map.range((after, Bound::Unbounded)).next()?;
        after = Bound::Excluded((*incarnation, last));
        Some(*incarnation)
    })
}

type OfSession<T> = BTreeMap<(SessionId, T), Name>;

fn first_of<T: Ord>(map: &OfSession<T>, session: SessionId, least: T) -> Option<(&(SessionId, T), &Name)> {
    map.range((session, least)..).next().filter(|((owner, _), _)| *owner == session)
}

#[inline(always)]
fn replace<K: Ord>(map: &mut BTreeMap<K, Name>, name: &Name, before: Option<K>, after: Option<K>) {
    if before == after {
        return;
    }
    if let Some(key) = before {
        map.remove(&key);
    }
    if let Some(key) = after {
        map.insert(key, name.clone());
    }
}
