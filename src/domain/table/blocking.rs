//! Who is in the way of whom: what the holders of a lock wait for themselves, and so on.

use super::Table;
use super::deadlock::party_of;
use crate::domain::ids::{Name, Token, WaiterId};
use crate::domain::locks::{Hold, Waiter};
use crate::domain::refusal::Party;
use crate::domain::time::Timestamp;
use crate::domain::view::{Blocking, OwnerView};
use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};

/// So many holds and waits are looked at, also those that are none of theirs: the table is locked meanwhile.
const LOOKS_MAX: usize = 20_000;

/// Of one lock that is waited for.
const HOLDS_SHOWN: usize = 4;

impl Table {
    /// What the holders of this lock wait for, what those who are in their way wait for, and so on: the nearest first.
    pub fn blocking(&self, name: &Name, now: Timestamp, limit: usize) -> Vec<Blocking> {
        let left = Cell::new(LOOKS_MAX);
        let may_look = || left.replace(left.get().saturating_sub(1)) > 0;
        let mut found = Vec::new();
        let (mut names, mut parties) = (BTreeSet::from([name.clone()]), BTreeSet::new());
        let mut to_visit = VecDeque::from([name.clone()]);
        while let Some(name) = to_visit.pop_front() {
            for hold in self.live_holds(&name, now).take_while(|_| may_look()) {
                let Some(party) = party_of(&hold.owner).filter(|party| parties.insert(shown(party))) else { continue };
                for (waiter, wanted) in self.live_waits(&party, now, &may_look) {
                    let holds = self.live_holds(wanted, now).take_while(|_| may_look());
                    for by in holds.filter(|by| by.owner != hold.owner).take(HOLDS_SHOWN) {
                        if found.len() >= limit {
                            return found;
                        }
                        found.push(blocking(wanted, waiter, by));
                    }
                    if names.insert(wanted.clone()) {
                        to_visit.push_back(wanted.clone());
                    }
                }
            }
        }
        found
    }

    /// What an owner waits for, one row for each name.
    fn live_waits<'a>(
        &'a self,
        party: &'a Party,
        now: Timestamp,
        may_look: &'a impl Fn() -> bool,
    ) -> impl Iterator<Item = (&'a Waiter, &'a Name)> {
        let waits: Box<dyn Iterator<Item = (WaiterId, &'a Name)> + 'a> = match party {
            Party::Session(session) => Box::new(self.locks.waits_of(*session)),
            Party::Label(label) => Box::new(self.locks.waits_of_label(label)),
        };
        let waiter = move |(id, name): (WaiterId, &'a Name)| {
            let mut queue = self.locks.get(name)?.queue().iter().take_while(|_| may_look());
            let (_, waiter) = queue.find(|(place, _)| place.1 == id)?;
            (!waiter.is_orphaned() && !waiter.deadline.is_past(now)).then_some((waiter, name))
        };
        let named = |(waiter, name): (&'a Waiter, &'a Name)| waiter.places(name).map(move |(name, _)| (waiter, name));
        waits.take_while(move |_| may_look()).filter_map(waiter).flat_map(named)
    }
}

fn blocking(name: &Name, waiter: &Waiter, by: &Hold) -> Blocking {
    let token: Token = by.token;
    Blocking {
        name: name.clone(),
        waiter: OwnerView::of(&waiter.owner, waiter.dialect),
        since: waiter.since,
        by: OwnerView::of(&by.owner, by.dialect),
        token,
    }
}

/// A party in an order.
fn shown(party: &Party) -> String {
    match party {
        Party::Session(session) => format!("s{session}"),
        Party::Label(label) => format!("l{label}"),
    }
}
