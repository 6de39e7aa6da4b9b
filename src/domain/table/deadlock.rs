//! Deadlocks: before a wait begins, the search for a cycle of owners that each wait for the next.
//!
//! An edge leads from an owner that waits to each owner without whose leave the wait cannot end: a holder whose places are
//! needed, and every waiter ahead. So the first wait that closes a cycle finds it, and no later grant can make one.
//! Threads of one program may share a session, so a session does not wait for itself.

use super::{Effects, Table};
use crate::domain::command::{Acquire, Upgrade, Wait};
use crate::domain::ids::{Name, Token, WaiterId};
use crate::domain::locks::{Hold, Lock, Owner, Waiter};
use crate::domain::outcome::Event;
use crate::domain::refusal::{Blocked, Party, Refusal};
use crate::mutants::planted;
use std::collections::BTreeMap;

/// What one owner waits for under one name.
struct WaitFor<'a> {
    name: &'a Name,
    size: u32,
    weight: u32,
    upgrades: Option<Token>,
    /// Whether a waiter is ahead of it.
    is_behind: &'a dyn Fn(&crate::domain::locks::Place) -> bool,
}

/// A depth-first search: owners that were seen, each with who waits for it and for which name.
struct Search<'a> {
    table: &'a Table,
    newcomer: Party,
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
    /// Refuses a guarded acquire whose wait would close a cycle.
    pub(super) fn check_deadlock(&self, effects: &mut Effects, acquire: &Acquire) -> Result<(), Refusal> {
        let Some(mut search) = self.search_for(acquire.wait, &acquire.owner()) else { return Ok(()) };
        // Its place will be the last of its priority.
        let is_behind = |place: &crate::domain::locks::Place| place.0.0 >= acquire.priority;
        let found = acquire.places().find_map(|(name, size)| {
            let wait = WaitFor { name, size, weight: acquire.weight(), upgrades: None, is_behind: &is_behind };
            search.follow(&search.newcomer.clone(), &wait)
        });
        conclude(effects, found.or_else(|| search.run()))
    }

    /// The same for an upgrade.
    pub(super) fn check_deadlock_of_upgrade(
        &self,
        effects: &mut Effects,
        upgrade: &Upgrade,
        owner: &Owner,
        token: Token,
    ) -> Result<(), Refusal> {
        let Some(mut search) = self.search_for(upgrade.wait, owner) else { return Ok(()) };
        let (name, upgrades) = (&upgrade.name, Some(token));
        let wait = WaitFor { name, size: 1, weight: 1, upgrades, is_behind: &|_| false };
        let found = search.follow(&search.newcomer.clone(), &wait);
        conclude(effects, found.or_else(|| search.run()))
    }

    /// `None` if the wait is not guarded, or nobody can wait for its owner.
    fn search_for(&self, wait: Option<Wait>, owner: &Owner) -> Option<Search<'_>> {
        let is_guarded = matches!(wait, Some(Wait::Guarded { .. }));
        let newcomer = party_of(owner).filter(|_| is_guarded && !planted!("deadlock-missed"))?;
        let session = owner.session().and_then(|session| self.sessions.get(session));
        if session.is_some_and(|session| session.holds == 0 && session.waiters == 0) {
            return None;
        }
        let steps_left = self.header.limits.deadlock_search_max;
        Some(Search { table: self, newcomer, seen: BTreeMap::new(), to_visit: Vec::new(), steps_left })
    }
}

impl Search<'_> {
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
        waits.into_iter().find_map(|(id, name)| {
            let (place, waiter) = table.locks.get(name)?.queue().iter().find(|(place, _)| place.1 == id)?;
            if waiter.is_orphaned() {
                return None;
            }
            waiter.places(name).find_map(|(name, size)| {
                let is_behind = |other: &crate::domain::locks::Place| other < place;
                let (weight, upgrades) = (waiter.weight(), waiter.upgrades);
                self.follow(party, &WaitFor { name, size, weight, upgrades, is_behind: &is_behind })
            })
        })
    }

    /// Notes everybody without whose leave this wait cannot end.
    fn follow(&mut self, party: &Party, wait: &WaitFor<'_>) -> Option<Found> {
        let lock = self.table.locks.get(wait.name)?;
        let holders = lock.holds().iter().filter(|hold| wait.needs_end_of(lock, hold)).map(|hold| &hold.owner);
        let is_ahead = |waiter: &Waiter| !waiter.is_orphaned();
        let queue = lock.queue().iter().take_while(|(place, _)| (wait.is_behind)(place));
        let ahead = queue.filter(|(_, waiter)| is_ahead(waiter)).map(|(_, waiter)| &waiter.owner);
        for by in holders.chain(ahead).filter_map(party_of) {
            if self.steps_left == 0 {
                return Some(Found::Cut);
            }
            self.steps_left -= 1;
            if by == *party {
                continue;
            }
            if by == self.newcomer {
                return Some(Found::Cycle(self.cycle(party, wait.name, by)));
            }
            if !self.seen.contains_key(&by) {
                self.seen.insert(by.clone(), (party.clone(), wait.name.clone()));
                self.to_visit.push(by);
            }
        }
        None
    }

    /// From the newcomer to the owner that waits for it.
    fn cycle(&self, last: &Party, name: &Name, newcomer: Party) -> Vec<Blocked> {
        let mut cycle = vec![Blocked { name: name.clone(), by: newcomer, waiter: last.clone() }];
        let mut by = last;
        while let Some((waiter, name)) = self.seen.get(by) {
            cycle.push(Blocked { name: name.clone(), by: by.clone(), waiter: waiter.clone() });
            by = waiter;
        }
        cycle.reverse();
        cycle
    }
}

impl WaitFor<'_> {
    /// Whether there is no room as long as this hold lasts, even if all others end.
    fn needs_end_of(&self, lock: &Lock, hold: &Hold) -> bool {
        match self.upgrades {
            Some(token) => hold.token != token,
            None if lock.size() != self.size => true,
            None => u64::from(hold.weight()) + u64::from(self.weight) > u64::from(self.size),
        }
    }
}

fn conclude(effects: &mut Effects, found: Option<Found>) -> Result<(), Refusal> {
    match found {
        Some(Found::Cycle(cycle)) => Err(Refusal::WouldDeadlock { cycle: cycle.into() }),
        Some(Found::Cut) => {
            effects.events.push(Event::DeadlockSearchCut);
            Ok(())
        }
        None => Ok(()),
    }
}

fn party_of(owner: &Owner) -> Option<Party> {
    match owner {
        Owner::Session(session) => Some(Party::Session(*session)),
        Owner::Label(label) => Some(Party::Label(label.clone())),
        Owner::Bearer => None,
    }
}
