//! What each command does to the reference model.

use super::requests::Made;
use super::{Hold, Reference, Session};
use latchd::domain::{
    Caller, Command, Dialect, EndReason, Field, Grant, HoldKey, IdempotencyKey, Name, Outcome, Proof, Refusal, SHARED,
    SessionId, Submitted, Token, Undone, WaitEnd,
};
use std::collections::BTreeSet;

impl Reference {
    /// The expected outcome; `actual` is that of the table, from which tokens and cycles of waits are taken.
    pub fn run(&mut self, submitted: &Submitted, actual: &Outcome) -> Outcome {
        let Submitted { id, command } = submitted;
        match self.nodes.values_mut().find(|node| node.run == id.incarnation) {
            None => return Outcome::Refused(Refusal::UnknownIncarnation),
            Some(node) if id.sequence <= node.last_sequence => return Outcome::Duplicate,
            Some(node) => {
                node.last_sequence = id.sequence;
                if !node.up {
                    return Outcome::Refused(Refusal::UnknownIncarnation);
                }
            }
        }
        let needed = needed_level(command);
        if self.level < needed {
            return Outcome::Refused(self.not_yet(needed));
        }
        if command.session().is_some_and(|session| !self.is_live(session)) {
            return Outcome::Refused(Refusal::SessionUnknown);
        }
        let others = match command {
            Command::Acquire(ask) => ask.terms.iter().flat_map(|terms| &terms.names).skip(1).collect(),
            _ => Vec::new(),
        };
        command
            .name()
            .into_iter()
            .chain(others.into_iter().map(|(name, _)| name))
            .for_each(|name| self.expire_lock(name));
        let outcome = match command {
            Command::OpenSession { session, idle_timeout_ms, idempotency_key: request, caller } => {
                self.open_session(*session, *idle_timeout_ms, request.filter(|_| self.knows_requests()), *caller)
            }
            Command::CloseSession { session, .. } if !self.is_live(*session) => Err(Refusal::SessionUnknown),
            Command::CloseSession { session, force } => {
                self.end_session(*session, false);
                let force = force.as_ref().filter(|_| self.level >= 12).map(|force| (*force.0).clone());
                self.sessions.entry(*session).and_modify(|session| session.force = force);
                Ok(Outcome::SessionClosed)
            }
            Command::Acquire(acquire) => self.acquire(*id, acquire, actual),
            Command::Release { name, proof, .. } => self.end_one(name, EndReason::Released, proof),
            Command::ForceRelease { name, key, force } => {
                self.force = force.as_deref().cloned();
                self.end_one(name, EndReason::Forced, &Proof::Key(*key))
            }
            Command::Renew { name, proof, lease_ms, .. } => self.renew(name, proof, *lease_ms),
            Command::Cancel { name, key } => Ok(self.cancel(name, *key)),
            Command::ConfirmDelivery { name, key } => self.confirm_delivery(name, *key),
            Command::CancelWait { name, label } => self.cancel_wait(name, label),
            Command::Upgrade(upgrade) => self.upgrade(*id, upgrade, actual),
            Command::Downgrade { name, key, .. } => self.downgrade(name, *key, actual),
            Command::Transfer { name, key, to, new_key, .. } => self.transfer(name, *key, *to, *new_key, actual),
            Command::Resize { name, size } => self.resize(name, *size),
            Command::SetValue { name, key, value, .. } => self.set_value(name, *key, value),
            Command::RaiseMark { resource, token, .. } => self.raise_mark(resource, *token),
            Command::Freeze(order) => self.freeze(order),
            Command::Thaw { target } => self.thaw(target),
            command => self.command_of_leader(command),
        };
        outcome.unwrap_or_else(Outcome::Refused)
    }

    fn open_session(
        &mut self,
        id: SessionId,
        idle_timeout_ms: u64,
        request: Option<IdempotencyKey>,
        caller: Caller,
    ) -> Result<Outcome, Refusal> {
        if let Some(made) = request.and_then(|request| self.recall(request)) {
            let Made::Session(session) = made? else { return Err(Refusal::RequestReused) };
            self.sessions.entry(session).and_modify(|session| session.seen = self.now);
            return Ok(Outcome::SessionOpened { session });
        }
        if self.sessions.contains_key(&id) {
            return Err(Refusal::SessionExists);
        }
        if self.sessions.len() as u64 >= self.limits.sessions_max {
            return Err(Refusal::SessionsFull { limit: self.limits.sessions_max });
        }
        self.check_requests(request)?;
        self.check_quota(caller, [0, 1, 0])?;
        self.note_request(request);
        let (seen, request, caller) = (self.now, request.map(|request| request.id), self.recorded(caller));
        let (ended, timed_out, force) = (false, false, None);
        self.sessions.insert(id, Session { idle_timeout_ms, seen, ended, timed_out, request, caller, force });
        Ok(Outcome::SessionOpened { session: id })
    }

    fn end_one(&mut self, name: &Name, why: EndReason, proof: &Proof) -> Result<Outcome, Refusal> {
        let token = self.find(name, proof)?;
        if why == EndReason::Released {
            self.check_names(name, token, proof)?;
        }
        let claim = self.hold_mut(token).expect("it was found just now").claim.clone();
        self.end_hold(token, why);
        let names = if claim.is_set { claim.names() } else { Vec::new() };
        Ok(Outcome::Released { waiter_granted: self.grant(claim.names()), names })
    }

    /// Who shows the key of a hold of several names must know all of them, each once.
    fn check_names(&self, name: &Name, token: Token, proof: &Proof) -> Result<(), Refusal> {
        let hold = self.holds_of(name).find(|hold| hold.token == token).expect("it was found just now");
        let all: BTreeSet<Name> = hold.claim.names().into_iter().collect();
        let agree = match proof {
            Proof::OfNames { names, .. } => {
                names.len() == all.len() && names.iter().cloned().collect::<BTreeSet<Name>>() == all
            }
            _ => !hold.claim.is_set,
        };
        let known = if hold.claim.is_set { all.into_iter().collect() } else { Vec::new() };
        if agree { Ok(()) } else { Err(Refusal::OtherNames { names: known.into() }) }
    }

    pub fn find(&self, name: &Name, proof: &Proof) -> Result<Token, Refusal> {
        let known = self.is_known(name) || self.idle_sizes.iter().any(|(_, idle, _)| idle == name);
        if !known {
            return Err(Refusal::NoSuchLock);
        }
        if let Some(hold) = self.holds_of(name).find(|hold| opens(proof, hold)) {
            return Ok(hold.token);
        }
        Err(match proof {
            Proof::Label { label, .. } => {
                let without_token = Proof::Label { label: label.clone(), token: None };
                let is_owner = self.holds_of(name).any(|hold| opens(&without_token, hold));
                if is_owner { Refusal::TokenMismatch } else { Refusal::NotOwner }
            }
            _ => Refusal::WrongKey,
        })
    }

    fn renew(&mut self, name: &Name, proof: &Proof, lease_ms: u64) -> Result<Outcome, Refusal> {
        if lease_ms > self.limits.lease_ms_max {
            return Err(Refusal::LimitExceeded { field: Field::Lease, limit: self.limits.lease_ms_max });
        }
        let token = self.find(name, proof)?;
        self.check_names(name, token, proof)?;
        self.heard_of(token);
        let (asked, reliable) =
            (self.now.after_ms(lease_ms.max(1)), self.now.after_ms(self.limits.election_reliable_ms));
        let known = self.holds_of(name).find(|hold| hold.token == token);
        // Who asked for a leader may rely on the answer for a while.
        let leads_until = known.filter(|hold| hold.claim.value.is_some()).and_then(|hold| hold.deadline);
        let deadline = leads_until.map_or(asked, |end| asked.max(end.min(reliable)));
        let hold = self.hold_mut(token).ok_or(Refusal::WrongKey)?;
        hold.deadline.replace(deadline).ok_or(Refusal::NoLease).inspect_err(|_| hold.deadline = None)?;
        Ok(Outcome::Renewed(Grant { key: hold.key, token, since: hold.since, deadline: Some(deadline) }))
    }

    fn cancel(&mut self, name: &Name, key: HoldKey) -> Outcome {
        let waiting = self.waiters.iter().find(|waiter| waiter.claim.first() == name && waiter.key == key);
        let granted = self.holds_of(name).find(|hold| hold.attempt == Some(key));
        let (token, waiting) = (granted.map(|hold| hold.token), waiting.map(|waiter| waiter.claim.names()));
        let names = waiting.clone().or(granted.map(|hold| hold.claim.names())).unwrap_or_default();
        let undone = match (&waiting, token) {
            (Some(_), _) => Undone::Wait,
            (None, Some(token)) => Undone::Hold(token),
            (None, None) => Undone::Nothing,
        };
        match undone {
            Undone::Wait => self.lose_wait(key, WaitEnd::Dropped),
            Undone::Hold(token) => self.lose_hold(token),
            Undone::Nothing => {}
        }
        self.grant(names);
        Outcome::Cancelled(undone)
    }
}

fn opens(proof: &Proof, hold: &Hold) -> bool {
    match proof {
        Proof::Key(key) | Proof::OfNames { key, .. } => hold.key == *key,
        Proof::TakenBy(dialect) => hold.dialect == *dialect,
        Proof::Label { label, token } => {
            hold.owner.session.is_none()
                && hold.owner.label.as_ref() == Some(label)
                && token.is_none_or(|token| token == hold.token)
        }
    }
}

/// The feature level that brings it.
fn needed_level(command: &Command) -> u32 {
    let dialect = match command {
        Command::Acquire(ask) => ask.dialect,
        Command::Release { proof: Proof::TakenBy(dialect), .. } => *dialect,
        Command::Renew { proof: Proof::TakenBy(dialect), .. } => *dialect,
        _ => Dialect::LdlmRest,
    };
    match dialect {
        Dialect::Terraform | Dialect::Redis => 8,
        _ if matches!(command, Command::Freeze(_) | Command::Thaw { .. }) => 11,
        _ if needs_modes(command) => 7,
        _ => 0,
    }
}

fn needs_modes(command: &Command) -> bool {
    match command {
        Command::Acquire(ask) => ask.terms.is_some() || ask.size == SHARED,
        Command::Release { proof, .. } | Command::Renew { proof, .. } => matches!(proof, Proof::OfNames { .. }),
        Command::Upgrade(_)
        | Command::Downgrade { .. }
        | Command::Transfer { .. }
        | Command::Resize { .. }
        | Command::SetValue { .. }
        | Command::RaiseMark { .. } => true,
        _ => false,
    }
}
