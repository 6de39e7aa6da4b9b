//! What changes a hold, a lock or a mark without ending anything, in the reference model.

use super::acquire::given;
use super::{Claim, Hold, Owner, Reference, Waiter};
use latchd::domain::{
    Acquire, Caller, CommandId, EndReason, Event, Field, Grant, HoldKey, Metadata, Name, Outcome, Proof, Refusal,
    SHARED, SessionId, Token, Upgrade, Wait, WaitEnd,
};

impl Reference {
    /// A shared or exclusive hold that may become the other: of one name, not counted, not of an election.
    fn find_convertible(&self, name: &Name, key: HoldKey) -> Result<Token, Refusal> {
        let token = self.find(name, &Proof::Key(key))?;
        let claim = self.holds.iter().find(|hold| hold.token == token).map(|hold| &hold.claim);
        let is_plain = claim.is_some_and(|claim| !claim.is_set && claim.value.is_none());
        if is_plain && !self.is_counted(name) { Ok(token) } else { Err(Refusal::NotConvertible) }
    }

    fn is_counted(&self, name: &Name) -> bool {
        self.resized.contains(name) || ![Some(&1), Some(&SHARED)].contains(&self.sizes.get(name))
    }

    fn grant_of(&self, token: Token) -> Grant {
        let hold = self.holds.iter().find(|hold| hold.token == token).expect("it was found just now");
        Grant { key: hold.key, token, since: hold.since, deadline: hold.deadline }
    }

    /// The hold stays, with another mode and a new token.
    pub fn convert(&mut self, token: Token, size: u32, new_token: Token) {
        let Some(hold) = self.hold_mut(token) else { return };
        hold.token = new_token;
        let Hold { claim, request, .. } = hold.clone();
        request.into_iter().for_each(|request| self.keep_request(request));
        self.sizes.insert(claim.first().clone(), size);
        self.expect_token(claim.first(), new_token, Some(token));
    }

    pub fn downgrade(&mut self, name: &Name, key: HoldKey, actual: &Outcome) -> Result<Outcome, Refusal> {
        let mut token = self.find_convertible(name, key)?;
        self.heard_of(token);
        if self.sizes.get(name) != Some(&SHARED) {
            self.convert(token, SHARED, given(actual));
            token = given(actual);
        }
        let grant = self.grant_of(token);
        self.grant(vec![name.clone()]);
        Ok(Outcome::Changed(grant))
    }

    pub fn upgrade(&mut self, id: CommandId, ask: &Upgrade, actual: &Outcome) -> Result<Outcome, Refusal> {
        let (name, limits) = (&ask.name, self.limits);
        if ask.wait.is_some_and(|wait| wait.timeout_ms() > limits.wait_ms_max) {
            return Err(Refusal::LimitExceeded { field: Field::Wait, limit: limits.wait_ms_max });
        }
        let token = self.find_convertible(name, ask.key)?;
        if self.sizes.get(name) == Some(&1) {
            self.heard_of(token);
            return Ok(Outcome::Changed(self.grant_of(token)));
        }
        let pending = self.waiters_of(name).find_map(|waiter| waiter.upgrades);
        if pending.is_some_and(|other| other != token) {
            return Err(Refusal::UpgradePending);
        }
        let frozen = self.frozen_by(std::slice::from_ref(name), false);
        if self.holds_of(name).count() == 1 && !self.delays.contains_key(name) && frozen.is_none() {
            self.heard_of(token);
            self.convert(token, 1, given(actual));
            return Ok(Outcome::Changed(self.grant_of(given(actual))));
        }
        if let (Some(by), None) = (frozen, ask.wait) {
            return Err(Refusal::Frozen(by));
        }
        if ask.wait.is_none() {
            return Err(self.held(name, self.holds_of(name).count() == 1));
        }
        let earlier = self.waiters.iter().position(|waiter| waiter.upgrades == Some(token));
        self.check_room_for_upgrade(name, token, earlier, ask.caller)?;
        if earlier.is_none_or(|at| self.waiters[at].key != ask.attempt) {
            self.check_key(ask.attempt)?;
        }
        let waiter = self.upgrading(id, ask, token);
        self.check_deadlock(&waiter, earlier, actual)?;
        self.heard_of(token);
        let waiter = Waiter { wait: Wait::Attached { timeout_ms: waiter.wait.timeout_ms() }, ..waiter };
        match earlier {
            Some(at) => {
                let old = std::mem::replace(&mut self.waiters[at], waiter);
                self.tell_wait_ended(&old, WaitEnd::Cancelled);
            }
            None => self.enqueue(waiter),
        }
        Ok(Outcome::Waiting { position: 0 })
    }

    fn check_room_for_upgrade(
        &self,
        name: &Name,
        token: Token,
        earlier: Option<usize>,
        caller: Caller,
    ) -> Result<(), Refusal> {
        let (limits, (holds, waiters)) = (&self.limits, self.counts(None));
        if earlier.is_none() && self.waiters_of(name).count() as u64 >= limits.waiters_per_lock_max {
            return Err(Refusal::QueueFull { limit: limits.waiters_per_lock_max });
        }
        if earlier.is_none() && (holds + waiters) as u64 + self.delays_counted() >= limits.holds_max {
            return Err(Refusal::HoldsFull { limit: limits.holds_max });
        }
        let session = self.holds_of(name).find(|hold| hold.token == token).and_then(|hold| hold.owner.session);
        let (holds, waiters) = session.map_or((0, 0), |session| self.counts(Some(session)));
        if earlier.is_none() && session.is_some() && (holds + waiters) as u64 >= limits.holds_per_session_max {
            return Err(Refusal::SessionHoldsFull { limit: limits.holds_per_session_max });
        }
        if earlier.is_some() {
            return Ok(());
        }
        self.check_quota(caller, [1, 0, 1])?;
        self.check_prefixes(std::slice::from_ref(name), true)
    }

    /// Nobody is ahead of an upgrade.
    fn upgrading(&self, id: CommandId, ask: &Upgrade, token: Token) -> Waiter {
        let hold = self.holds.iter().find(|hold| hold.token == token).expect("it was found just now");
        let asked =
            Acquire { wait: ask.wait, caller: ask.caller, ..Acquire::new(ask.name.clone(), ask.attempt, hold.dialect) };
        let (owner, metadata) = (hold.owner.clone(), Metadata::default());
        Waiter { upgrades: Some(token), priority: i32::MAX, owner, metadata, ..self.waiter(id, &asked) }
    }

    pub fn transfer(
        &mut self,
        name: &Name,
        key: HoldKey,
        to: SessionId,
        new_key: HoldKey,
        actual: &Outcome,
    ) -> Result<Outcome, Refusal> {
        let token = self.find(name, &Proof::Key(key))?;
        let before = self.holds.iter().find(|hold| hold.token == token).expect("it was found just now").clone();
        if before.claim.value.is_some() {
            return Err(Refusal::NotConvertible);
        }
        if !self.is_live(to) {
            return Err(Refusal::TargetUnknown);
        }
        let more = if before.owner.session == Some(to) { 0 } else { before.claim.places.len() };
        let (holds, waiters) = self.counts(Some(to));
        if (holds + waiters + more) as u64 > self.limits.holds_per_session_max {
            return Err(Refusal::SessionHoldsFull { limit: self.limits.holds_per_session_max });
        }
        self.heard_of(token);
        self.end_upgrade(token);
        let (now, new_token) = (self.now, given(actual));
        let hold = self.hold_mut(token).expect("it was found just now");
        (hold.key, hold.token, hold.since, hold.attempt) = (new_key, new_token, now, Some(new_key));
        hold.owner = Owner { session: Some(to), label: None };
        // No retry is given it any more.
        hold.request = None;
        let Hold { claim, deadline, .. } = hold.clone();
        let Hold { owner: Owner { session, .. }, dialect, since, .. } = before.clone();
        let why = EndReason::Transferred;
        for name in claim.names() {
            self.remember(&name, &before, why, false);
            let (ended, is_election) = (name.clone(), false);
            self.expect(Event::HoldEnded { name: ended, token, why, session, dialect, since, deadline, is_election });
            self.expect_token(&name, new_token, None);
        }
        let grant = self.grant_of(new_token);
        self.grant(claim.names());
        Ok(Outcome::Changed(grant))
    }

    pub fn resize(&mut self, name: &Name, size: u32) -> Result<Outcome, Refusal> {
        if size == 0 {
            return Err(Refusal::ZeroSize);
        }
        if size == 1 && self.has_bounds() {
            return Err(Refusal::SizeOfOne);
        }
        if u64::from(size) > self.limits.size_max {
            return Err(Refusal::LimitExceeded { field: Field::Size, limit: self.limits.size_max });
        }
        if !self.is_known(name) {
            let idle = self.idle_sizes.iter().find(|(_, idle, _)| idle == name).ok_or(Refusal::NoSuchLock)?;
            if idle.2 == 1 {
                return Err(Refusal::NotCounted);
            }
            self.remember_size(name, size);
            return Ok(Outcome::Resized { size });
        }
        if !self.is_counted(name) {
            return Err(Refusal::NotCounted);
        }
        let before = self.sizes.get(name).copied();
        let asks = |waiter: &Waiter| waiter.claim.places.iter().any(|(own, size)| own == name && Some(*size) == before);
        let heaviest = self.waiters_of(name).filter(|waiter| asks(waiter)).map(|waiter| waiter.claim.weight).max();
        if let Some(weight) = heaviest.filter(|weight| *weight > size) {
            return Err(Refusal::SizeBelowWeight { weight });
        }
        self.sizes.insert(name.clone(), size);
        if self.ldlm_sizes.get(name) == before.as_ref() {
            self.ldlm_sizes.insert(name.clone(), size);
        }
        let places = self.waiters.iter_mut().flat_map(|waiter| &mut waiter.claim.places);
        places.filter(|(own, asked)| own == name && Some(*asked) == before).for_each(|(_, asked)| *asked = size);
        let sets = self.holds.iter_mut().filter(|hold| hold.claim.is_set).flat_map(|hold| &mut hold.claim.places);
        sets.filter(|(own, asked)| own == name && Some(*asked) == before).for_each(|(_, asked)| *asked = size);
        self.resized.insert(name.clone());
        self.grant(vec![name.clone()]);
        Ok(Outcome::Resized { size })
    }

    pub fn set_value(&mut self, name: &Name, key: HoldKey, value: &str) -> Result<Outcome, Refusal> {
        if value.len() as u64 > self.limits.value_bytes_max {
            return Err(Refusal::LimitExceeded { field: Field::Value, limit: self.limits.value_bytes_max });
        }
        let token = self.find(name, &Proof::Key(key))?;
        let hold = self.hold_mut(token).expect("it was found just now");
        if hold.claim.value.is_none() {
            return Err(Refusal::NotElected);
        }
        hold.claim = Claim { value: Some(value.into()), ..hold.claim.clone() };
        let Hold { claim, owner, dialect, .. } = hold.clone();
        for name in claim.names() {
            let (value, session) = (value.into(), owner.session);
            self.expect(Event::ValueChanged { name, token, value, session, dialect });
        }
        self.heard_of(token);
        Ok(Outcome::ValueSet(self.grant_of(token)))
    }

    pub fn raise_mark(&mut self, resource: &Name, token: Token) -> Result<Outcome, Refusal> {
        self.check_name(resource)?;
        if !(1..=self.last_token).contains(&token.0) {
            return Err(Refusal::TokenNotIssued);
        }
        match self.marks.get(resource) {
            Some((mark, _)) if *mark > token => return Err(Refusal::TokenBelowMark { mark: *mark }),
            None if self.marks.len() as u64 >= self.limits.marks_max => {
                return Err(Refusal::MarksFull { limit: self.limits.marks_max });
            }
            _ => {}
        }
        let until = self.now.after_ms(self.limits.mark_idle_ms);
        self.marks.insert(resource.clone(), (token, until));
        Ok(Outcome::MarkRaised { mark: token })
    }
}
