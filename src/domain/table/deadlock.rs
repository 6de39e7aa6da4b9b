//! Deadlocks: before a wait begins, the search for a cycle of owners that each wait for the next.
//!
//! An edge leads from an owner that waits to each owner without whose leave the wait cannot end: one that holds so many places
//! that the others are not enough, and every waiter ahead, also one that is about to overtake. So the first wait that closes a
//! cycle finds it, and no later grant to a waiter can make one: only a hold that overtakes without a wait, a transfer or a
//! smaller size can.
//!
//! Threads of one program may share a session, so a session does not wait for itself: neither directly, nor through others
//! that wait for the very name that it asks for. What one thread has there it gives back, and the others go on.

use super::{Effects, Table};
use crate::domain::command::{Acquire, Upgrade, Wait};
use crate::domain::ids::{Name, Token, WaiterId};
use crate::domain::limits::Feature;
use crate::domain::locks::{Hold, Lock, Owner, Place, Waiter};
use crate::domain::outcome::Event;
use crate::domain::refusal::{Blocked, Party, Refusal};
use crate::domain::terms::SHARED;
use crate::mutants::planted;
use std::collections::BTreeMap;

/// What one owner waits for under one name.
struct WaitFor<'a> {
    name: &'a Name,
    size: u32,
    weight: u32,
    upgrades: Option<Token>,
    place: Place,
}

/// A depth-first search: owners that were seen, each with who waits for it and for which name.
struct Search<'a> {
    table: &'a Table,
    newcomer: Party,
    /// The locks that it will wait for, and its place in their queues: it may be ahead of others.
    names: Vec<&'a Name>,
    place: Place,
    /// Whether it will be ahead of any.
    overtakes: bool,
    seen: BTreeMap<Party, (Party, Name)>,
    to_visit: Vec<Party>,
    steps_left: u64,
}

enum Found {
    Cycle(Vec<Blocked>),
    /// The limit was met before the end.
    Cut,
}

impl Table {
    /// Refuses a guarded acquire whose wait in this place would close a cycle.
    pub(super) fn check_deadlock(&self, effects: &mut Effects, acquire: &Acquire, place: Place) -> Result<(), Refusal> {
        let names = || acquire.places().map(|(name, _)| name).collect();
        let Some(mut search) = self.search_for(acquire.wait, &acquire.owner(), names, place) else { return Ok(()) };
        let (weight, upgrades) = (acquire.weight(), None);
        let waits = acquire.places().map(|(name, size)| WaitFor { name, size, weight, upgrades, place });
        search.conclude(effects, waits)
    }

    /// The same for an upgrade.
    pub(super) fn check_deadlock_of_upgrade(
        &self,
        effects: &mut Effects,
        upgrade: &Upgrade,
        owner: &Owner,
        token: Token,
        place: Place,
    ) -> Result<(), Refusal> {
        let (name, upgrades) = (&upgrade.name, Some(token));
        let Some(mut search) = self.search_for(upgrade.wait, owner, || vec![name], place) else { return Ok(()) };
        search.conclude(effects, [WaitFor { name, size: 1, weight: 1, upgrades, place }].into_iter())
    }

    /// `None` if the wait is not guarded, or nobody can wait for its owner.
    fn search_for<'a>(
        &'a self,
        wait: Option<Wait>,
        owner: &Owner,
        names: impl FnOnce() -> Vec<&'a Name>,
        place: Place,
    ) -> Option<Search<'a>> {
        let is_guarded = matches!(wait, Some(Wait::Guarded { .. })) && self.supports(Feature::Modes);
        let newcomer = party_of(owner).filter(|_| is_guarded && !planted!("deadlock-missed"))?;
        let session = owner.session().and_then(|session| self.sessions.get(session));
        let has_nothing = session.is_some_and(|session| session.holds == 0 && session.waiters == 0);
        let names = names();
        let overtakes = names.iter().any(|name| self.overtakes(name, place, &newcomer));
        if has_nothing && !overtakes {
            return None;
        }
        let (steps_left, seen, to_visit) = (self.header.limits.deadlock_search_max, BTreeMap::new(), Vec::new());
        Some(Search { table: self, newcomer, names, place, overtakes, seen, to_visit, steps_left })
    }

    /// Whether another owner that waits already would come to wait for this place, too.
    fn overtakes(&self, name: &Name, own: Place, newcomer: &Party) -> bool {
        let Some(lock) = self.locks.get(name) else { return false };
        let is_other = |owner: &Owner| party_of(owner).is_some_and(|party| party != *newcomer);
        let is_overtaken = |(place, waiter): (&Place, &Waiter)| {
            *place > own && place.1 != own.1 && !waiter.is_orphaned() && is_other(&waiter.owner)
        };
        lock.queue().last().is_some_and(|last| *last > own) && lock.queue().iter().any(is_overtaken)
    }
}

impl Search<'_> {
    /// Searches from these waits of the newcomer on.
    fn conclude<'a>(
        &mut self,
        effects: &mut Effects,
        mut waits: impl Iterator<Item = WaitFor<'a>>,
    ) -> Result<(), Refusal> {
        let newcomer = self.newcomer.clone();
        let found = waits.find_map(|wait| self.follow(&newcomer, &wait)).or_else(|| self.run());
        // Who comes to wait for the newcomer waits for its earlier waits, too.
        let found = found.or_else(|| if self.overtakes { self.visit(&newcomer) } else { None }).or_else(|| self.run());
        match found {
            Some(Found::Cycle(cycle)) => Err(Refusal::WouldDeadlock { cycle: cycle.into() }),
            Some(Found::Cut) => {
                effects.events.push(Event::DeadlockSearchCut);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn run(&mut self) -> Option<Found> {
        while let Some(party) = self.to_visit.pop() {
            if let Some(found) = self.visit(&party) {
                return Some(found);
            }
        }
        None
    }

    /// Follows all waits of an owner.
    fn visit(&mut self, party: &Party) -> Option<Found> {
        let table = self.table;
        let waits: Vec<(WaiterId, &Name)> = match party {
            Party::Session(session) => table.locks.waits_of(*session).collect(),
            Party::Label(label) => table.locks.waits_of_label(label).collect(),
        };
        let replaced = self.place.1;
        waits.into_iter().filter(|(id, _)| *id != replaced).find_map(|(id, name)| {
            let (place, waiter) = table.locks.get(name)?.queue().iter().find(|(place, _)| place.1 == id)?;
            if waiter.is_orphaned() || waiter.deadline.is_past(table.header.now) {
                return None;
            }
            waiter.places(name).find_map(|(name, size)| {
                let (weight, upgrades, place) = (waiter.weight(), waiter.upgrades, *place);
                self.follow(party, &WaitFor { name, size, weight, upgrades, place })
            })
        })
    }

    /// Notes everybody without whose leave this wait cannot end.
    fn follow(&mut self, party: &Party, wait: &WaitFor<'_>) -> Option<Found> {
        let table = self.table;
        let lock = table.locks.get(wait.name)?;
        let weights = wait.weights_beside(lock);
        let holds = if wait.is_beside_all(lock) { &[] } else { lock.holds() };
        let holders = holds.iter().map(|hold| {
            (wait.needs_end_of(lock, hold, &weights) && !hold.deadline.is_past(table.header.now), &hold.owner)
        });
        let ahead = lock.queue().iter().take_while(|(place, _)| **place < wait.place);
        let replaced = self.place.1;
        let ahead = ahead.map(|(place, waiter)| (place.1 != replaced && !waiter.is_orphaned(), &waiter.owner));
        for (is_in_the_way, owner) in holders.chain(ahead) {
            // Who is not in the way costs time, too.
            if self.steps_left == 0 {
                return Some(Found::Cut);
            }
            self.steps_left -= 1;
            // What belongs to an ended session is over, even if it is not removed yet.
            let is_live = owner.session().is_none_or(|session| table.sessions.is_live(session));
            match party_of(owner).filter(|by| is_in_the_way && is_live && by != party) {
                Some(by) if by == self.newcomer && self.names.contains(&wait.name) => {}
                Some(by) if by == self.newcomer => return Some(self.cycle(party, wait.name)),
                Some(by) => self.note(by, party, wait.name),
                None => {}
            }
        }
        let overtakes = *party != self.newcomer && self.place < wait.place && self.names.contains(&wait.name);
        overtakes.then(|| self.cycle(party, wait.name))
    }

    /// This one is waited for.
    fn note(&mut self, by: Party, party: &Party, name: &Name) {
        if !self.seen.contains_key(&by) {
            self.seen.insert(by.clone(), (party.clone(), name.clone()));
            self.to_visit.push(by);
        }
    }

    /// From the newcomer to the owner that waits for it.
    fn cycle(&self, last: &Party, name: &Name) -> Found {
        let mut cycle = vec![Blocked { name: name.clone(), by: self.newcomer.clone(), waiter: last.clone() }];
        let mut by = last;
        while let Some((waiter, name)) = self.seen.get(by) {
            cycle.push(Blocked { name: name.clone(), by: by.clone(), waiter: waiter.clone() });
            by = waiter;
        }
        cycle.reverse();
        Found::Cycle(cycle)
    }
}

impl WaitFor<'_> {
    /// Whether it is a reader among readers.
    fn is_beside_all(&self, lock: &Lock) -> bool {
        self.upgrades.is_none() && [lock.size(), self.size] == [SHARED; 2]
    }

    /// What each owner holds of the places among which it waits for some.
    fn weights_beside(&self, lock: &Lock) -> BTreeMap<Party, u64> {
        let mut weights = BTreeMap::new();
        let is_counted = self.upgrades.is_none() && lock.size() == self.size && self.size != SHARED;
        for hold in lock.holds().iter().filter(|_| is_counted) {
            let party = party_of(&hold.owner);
            party.into_iter().for_each(|party| *weights.entry(party).or_default() += u64::from(hold.weight()));
        }
        weights
    }

    /// Whether there is no room as long as the owner of this hold keeps what it has, even if all others leave.
    fn needs_end_of(&self, lock: &Lock, hold: &Hold, weights: &BTreeMap<Party, u64>) -> bool {
        match self.upgrades {
            Some(token) => hold.token != token,
            None if lock.size() != self.size => true,
            None => {
                let held = party_of(&hold.owner).and_then(|party| weights.get(&party)).copied().unwrap_or(0);
                held + u64::from(self.weight) > u64::from(self.size)
            }
        }
    }
}

pub(super) fn party_of(owner: &Owner) -> Option<Party> {
    match owner {
        Owner::Session(session) => Some(Party::Session(*session)),
        Owner::Label(label) => Some(Party::Label(label.clone())),
        Owner::Bearer => None,
    }
}
