//! Who is granted what: a matrix of modes, and one pass over all waiters from the front until nothing changes.

use super::{Hold, Reference, Waiter};
use latchd::domain::{Event, Grant, HoldKey, Name, SHARED, Token, WaitEnd};
use std::cmp::Reverse;

/// In which way holds have a lock, by its size.
#[derive(PartialEq)]
enum Mode {
    Shared,
    /// As many places as this; one for an exclusive lock.
    Places(u32),
}

impl Mode {
    fn of(size: u32) -> Mode {
        if size == SHARED { Mode::Shared } else { Mode::Places(size) }
    }

    /// Whether holds of these modes may have one lock together, with these weights in all.
    fn agree(&self, other: &Mode, weights: u64) -> bool {
        match (self, other) {
            (Mode::Shared, Mode::Shared) => true,
            (Mode::Places(one), Mode::Places(other)) => one == other && weights <= u64::from(*one),
            (Mode::Shared, Mode::Places(_)) | (Mode::Places(_), Mode::Shared) => false,
        }
    }
}

impl Reference {
    /// Grants to the waiters that these locks have first, and to those that are first after them; waiters of ended sessions
    /// leave when their turn comes.
    pub fn grant(&mut self, names: Vec<Name>) -> bool {
        let (mut names, mut granted) = (names, false);
        while let Some(next) = self.next(&names) {
            names.extend(next.claim.names());
            if self.is_gone(&next.owner) {
                self.end_wait(next.key, WaitEnd::SessionEnded);
                continue;
            }
            self.waiters.retain(|waiter| waiter.key != next.key);
            self.after_wait(&next.owner);
            let token = self.expect_grant(&next);
            match next.upgrades {
                Some(upgraded) => self.convert(upgraded, 1, token),
                None => _ = self.add_hold(next, token, true),
            }
            granted = true;
        }
        names.iter().for_each(|name| self.forget_unused(name));
        granted
    }

    /// The first waiter of one of these locks that leaves the queue now.
    fn next(&self, names: &[Name]) -> Option<Waiter> {
        let is_looked_at = |waiter: &Waiter, name: &Name| waiter.claim.has(name) && self.is_first(waiter, name);
        let heads = self.line().into_iter().filter(|waiter| names.iter().any(|name| is_looked_at(waiter, name)));
        heads.into_iter().find(|waiter| self.is_gone(&waiter.owner) || self.can_be_granted(waiter)).cloned()
    }

    /// All waiters in the order of their turns. The sort keeps the order of arrival.
    pub fn line(&self) -> Vec<&Waiter> {
        let mut line: Vec<&Waiter> = self.waiters.iter().collect();
        line.sort_by_key(|waiter| Reverse(waiter.priority));
        line
    }

    /// Whether nobody is ahead in this queue; a waiter whose request was lost has no turn.
    pub fn is_first(&self, waiter: &Waiter, name: &Name) -> bool {
        let first = self.line().into_iter().find(|other| other.claim.has(name) && !other.orphaned);
        first.is_some_and(|first| first.key == waiter.key)
    }

    /// It heads all its queues, and everything that it asks for is free.
    pub fn can_be_granted(&self, waiter: &Waiter) -> bool {
        let claim = &waiter.claim;
        let is_free = |(name, size): &(Name, u32)| match waiter.upgrades {
            Some(token) => !self.delays.contains_key(name) && self.holds_of(name).all(|hold| hold.token == token),
            None => self.fits(name, *size, claim.weight),
        };
        let is_frozen = self.frozen_by(&claim.names(), false).is_some();
        !is_frozen && claim.places.iter().all(|place| self.is_first(waiter, &place.0) && is_free(place))
    }

    pub fn fits(&self, name: &Name, size: u32, weight: u32) -> bool {
        if self.delays.contains_key(name) {
            return false;
        }
        let held: Vec<u32> = self.holds_of(name).map(|hold| hold.claim.weight).collect();
        held.is_empty() || self.modes_agree(name, size, held.into_iter().chain([weight]).map(u64::from).sum())
    }

    pub fn modes_agree(&self, name: &Name, size: u32, weights: u64) -> bool {
        self.sizes.get(name).is_some_and(|own| Mode::of(*own).agree(&Mode::of(size), weights))
    }

    /// How many wait before this waiter, in the longest of its queues.
    pub fn ahead_of(&self, key: HoldKey) -> u32 {
        let line = self.line();
        let Some(at) = line.iter().position(|waiter| waiter.key == key) else { return 0 };
        let ahead = |name: &Name| line[..at].iter().filter(|other| other.claim.has(name)).count() as u32;
        line[at].claim.places.iter().map(|(name, _)| ahead(name)).max().unwrap_or(0)
    }

    /// Puts a waiter at the end of the line of its priority.
    pub fn enqueue(&mut self, waiter: Waiter) {
        waiter.claim.places.iter().for_each(|(name, size)| _ = self.sizes.entry(name.clone()).or_insert(*size));
        self.waiters.push(waiter);
    }

    /// `asked` is granted, at once or after a wait.
    pub fn add_hold(&mut self, asked: Waiter, token: Token, has_waited: bool) -> Grant {
        for (name, size) in &asked.claim.places {
            self.last_token = self.last_token.max(token.0);
            let (name, session, dialect) = (name.clone(), asked.owner.session, asked.dialect);
            let (replaces, value) = (None, asked.claim.value.clone());
            let (size, weight) = (*size, asked.claim.weight);
            self.expect(Event::Granted { name, token, replaces, session, dialect, size, weight, value });
        }
        for (name, size) in &asked.claim.places {
            if self.sizes.insert(name.clone(), *size) != Some(*size) {
                self.resized.remove(name);
            }
            if asked.remembers_size {
                // After a shared hold an exclusive one may come.
                self.ldlm_sizes.insert(name.clone(), if *size == SHARED { 1 } else { *size });
                self.idle_sizes.retain(|(_, idle, _)| idle != name);
            }
        }
        let deadline = self.lease_end(asked.lease_ms);
        let grant = Grant { key: asked.key, token, since: self.now, deadline };
        let is_open = has_waited && asked.is_attached() && self.confirms();
        let unconfirmed = is_open.then_some(asked.command.incarnation);
        asked.request.into_iter().for_each(|request| self.keep_request(request));
        let Waiter { claim, key, owner, metadata, dialect, lease_ms, request, caller, .. } = asked;
        let (attempt, since, orphaned) = (Some(key), self.now, false);
        self.holds.push(Hold {
            claim,
            key,
            token,
            since,
            deadline,
            owner,
            metadata,
            dialect,
            attempt,
            lease_ms,
            unconfirmed,
            request,
            orphaned,
            caller,
        });
        grant
    }

    /// The next grant event of this lock must be this waiter's; the token is taken from it.
    fn expect_grant(&mut self, next: &Waiter) -> Token {
        let first = next.claim.first().clone();
        let told = self.unexplained.iter().find_map(|event| match event {
            Event::Granted { name, token, .. } => (*name == first).then_some(*token),
            _ => None,
        });
        let token = told.unwrap_or(Token(0));
        if next.is_attached() {
            let upgraded = next.upgrades.and_then(|token| self.holds.iter().find(|hold| hold.token == token));
            let (grant, unconfirmed) = match upgraded {
                Some(Hold { key, since, deadline, .. }) => {
                    (Grant { key: *key, token, since: *since, deadline: *deadline }, false)
                }
                None => {
                    let deadline = self.lease_end(next.lease_ms);
                    (Grant { key: next.key, token, since: self.now, deadline }, self.confirms())
                }
            };
            self.expect(Event::WaiterGranted { command: next.command, name: first, grant, unconfirmed });
        }
        token
    }
}
