//! Who waits for whom, and whether a wait closes a cycle: a recursive search over all edges.

use super::{Hold, Owner, Reference, Waiter};
use latchd::domain::{Blocked, Event, Name, Outcome, Party, Refusal, Wait};
use std::collections::BTreeSet;

fn party(owner: &Owner) -> Option<Party> {
    let label = || owner.label.clone().map(Party::Label);
    owner.session.map(Party::Session).or_else(label)
}

impl Reference {
    /// Refuses a guarded wait that would be part of a cycle, with the cycle that the table names if it is a real one.
    /// `instead_of` is the place that it takes over.
    pub fn check_deadlock(
        &mut self,
        asked: &Waiter,
        instead_of: Option<usize>,
        actual: &Outcome,
    ) -> Result<(), Refusal> {
        let Some(newcomer) = party(&asked.owner) else { return Ok(()) };
        if !matches!(asked.wait, Wait::Guarded { .. }) || !self.has_modes() {
            return Ok(());
        }
        if self.limits.deadlock_search_max == 0 {
            // Without a limit from the leader nothing is searched: the wait begins without an answer.
            self.unexplained.retain(|event| *event != Event::DeadlockSearchCut);
            return Ok(());
        }
        let all = std::mem::take(&mut self.waiters);
        self.waiters = all.clone();
        match instead_of {
            Some(at) => self.waiters[at] = asked.clone(),
            None => self.waiters.push(asked.clone()),
        }
        let closes = self.closes_a_cycle(asked, &newcomer);
        let named = match actual {
            Outcome::Refused(Refusal::WouldDeadlock { cycle }) if self.is_real(cycle, asked, &newcomer) => {
                cycle.clone()
            }
            _ => Box::default(),
        };
        self.waiters = all;
        if closes { Err(Refusal::WouldDeadlock { cycle: named }) } else { Ok(()) }
    }

    /// From the new wait; and from the owner's earlier waits, if the new one is ahead of others, who wait for it from now on.
    fn closes_a_cycle(&self, asked: &Waiter, newcomer: &Party) -> bool {
        let line = self.line();
        let behind = line.into_iter().skip_while(|waiter| waiter.key != asked.key).filter(|waiter| !waiter.orphaned);
        let mut others = behind.filter(|waiter| party(&waiter.owner).is_some_and(|party| party != *newcomer));
        let overtakes = others.any(|waiter| waiter.claim.places.iter().any(|(name, _)| asked.claim.has(name)));
        let own = |waiter: &&Waiter| {
            waiter.key == asked.key || (overtakes && party(&waiter.owner).as_ref() == Some(newcomer))
        };
        let starts = self.waiters.iter().filter(own).flat_map(|waiter| self.blockers(waiter, asked));
        let mut seen = BTreeSet::new();
        starts.map(|(_, by)| by).collect::<Vec<_>>().iter().any(|by| self.leads_to(by, asked, newcomer, &mut seen))
    }

    fn leads_to(&self, from: &Party, asked: &Waiter, goal: &Party, seen: &mut BTreeSet<Party>) -> bool {
        if from == goal {
            return true;
        }
        if !seen.insert(from.clone()) {
            return false;
        }
        let own = self.waiters.iter().filter(|waiter| party(&waiter.owner).as_ref() == Some(from));
        let next: Vec<(Name, Party)> = own.flat_map(|waiter| self.blockers(waiter, asked)).collect();
        next.iter().any(|(_, by)| self.leads_to(by, asked, goal, seen))
    }

    /// Each edge is there, each leads to the next, and the last to the newcomer.
    fn is_real(&self, cycle: &[Blocked], asked: &Waiter, newcomer: &Party) -> bool {
        let is_edge = |Blocked { name, by, waiter: from }: &Blocked| {
            let own = self.waiters.iter().filter(|waiter| party(&waiter.owner).as_ref() == Some(from));
            own.flat_map(|waiter| self.blockers(waiter, asked)).any(|edge| edge == (name.clone(), by.clone()))
        };
        let is_chain = cycle.windows(2).all(|pair| pair[0].by == pair[1].waiter);
        let ends = [cycle.first().map(|first| &first.waiter), cycle.last().map(|last| &last.by)];
        cycle.iter().all(is_edge) && is_chain && ends == [Some(newcomer); 2]
    }

    /// Those without whose leave this wait cannot end, each with the name for which it waits. What the newcomer has under the
    /// names that it asks for belongs to another thread of it, which gives it back.
    fn blockers(&self, waiter: &Waiter, asked: &Waiter) -> Vec<(Name, Party)> {
        if waiter.orphaned {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (name, size) in &waiter.claim.places {
            // What one owner holds of a counted lock counts together.
            let held_by = |owner: &Owner| {
                let own = self.holds_of(name).filter(|hold| hold.owner == *owner);
                own.map(|hold| u64::from(hold.claim.weight)).sum::<u64>()
            };
            let is_in_the_way = |hold: &Hold| match waiter.upgrades {
                Some(own) => own != hold.token,
                None => !self.modes_agree(name, *size, held_by(&hold.owner) + u64::from(waiter.claim.weight)),
            };
            let is_threads = |owner: &Owner| party(owner) == party(&asked.owner) && asked.claim.has(name);
            let holders = self.holds_of(name).filter(|hold| is_in_the_way(hold) && !is_threads(&hold.owner));
            let line = self.line();
            let ahead = line.into_iter().take_while(|other| other.key != waiter.key);
            let ahead = ahead.filter(|other| other.claim.has(name) && !other.orphaned);
            let ahead = ahead.filter(|other| other.key == asked.key || !is_threads(&other.owner));
            let owners = holders.map(|hold| &hold.owner).chain(ahead.map(|other| &other.owner));
            let others = owners.filter(|owner| **owner != waiter.owner && !self.is_gone(owner)).filter_map(party);
            all.extend(others.map(|by| (name.clone(), by)));
        }
        all
    }
}
