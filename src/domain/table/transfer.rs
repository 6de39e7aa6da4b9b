//! A hold gets another owner; a counted lock another size; an election's hold another value.

use super::{CommandResult, Effects, Table, Vacancy};
use crate::domain::command::Proof;
use crate::domain::ids::{HoldKey, Name, SessionId, Token};
use crate::domain::limits::{Feature, check_max};
use crate::domain::locks::{Delivery, DeliveryState, Hold, Owner, Tracked};
use crate::domain::outcome::{EndReason, Event, Outcome};
use crate::domain::refusal::{Field, Refusal};
use crate::domain::terms::Terms;
use crate::mutants::planted;
use arcstr::ArcStr;
use std::sync::Arc;

impl Table {
    /// The lease goes on. Of several names, all.
    pub(super) fn transfer(
        &mut self,
        effects: &mut Effects,
        name: &Name,
        key: HoldKey,
        to: SessionId,
        new_key: HoldKey,
    ) -> CommandResult {
        const VANISHED: Refusal = Refusal::Broken("a hold vanished while it was transferred");
        let token = self.check_transfer(name, key, to)?.token;
        self.client_knows(name, token);
        let before = self.locks.hold(name, token).ok_or(VANISHED)?.clone();
        let new_key = planted!("transfer-keeps-key", new_key => key);
        let (now, new_token) = (self.header.now, self.issue_token());
        let is_next_first = self.end_upgrade(effects, name, token);
        if let Some(id) = before.idempotency_id() {
            self.idempotency_keys.end(id, &mut self.usages);
        }
        let delivery = delivery_after_transfer(&before, new_key);
        let changed = self.locks.change_hold(name, token, |hold| {
            (hold.key, hold.token, hold.since) = (new_key, new_token, now.into());
            (hold.owner, hold.delivery) = (Owner::Session(to), delivery.clone());
        });
        let after = changed.ok_or(VANISHED)?.clone();
        self.account_for_transfer(effects, name, &before, &after);
        if is_next_first {
            self.grant_waiters(effects, name, Vacancy::default());
        }
        Ok(Outcome::Changed(after.to_grant()))
    }

    pub(super) fn check_transfer(&self, name: &Name, key: HoldKey, to: SessionId) -> Result<&Hold, Refusal> {
        let hold = self.find_hold(name, &Proof::Key(key))?;
        if hold.value().is_some() {
            // Who asked for the leader relies on the answer for a while.
            return Err(Refusal::NotConvertible);
        }
        let target = self.sessions.live(to).ok_or(Refusal::TargetUnknown)?;
        let limit = self.header.limits.holds_per_session_max;
        let more = if hold.owner.session() == Some(to) { 0 } else { hold.places(name).count() as u64 };
        if u64::from(target.holds) + u64::from(target.waiters) + more > limit {
            return Err(Refusal::SessionHoldsFull { limit });
        }
        if self.header.next_token >= Token::END { Err(Refusal::TokensExhausted) } else { Ok(hold) }
    }

    fn account_for_transfer(&mut self, effects: &mut Effects, name: &Name, before: &Hold, after: &Hold) {
        let session = before.owner.session();
        for name in before.places(name) {
            self.usages.remove(before.caller, before.usage(name));
            self.usages.add(after.caller, after.usage(name));
            session.into_iter().for_each(|session| self.sessions.remove_hold(session));
            after.owner.session().into_iter().for_each(|session| self.sessions.add_hold(session));
            effects.ended(name.clone(), before, EndReason::Transferred);
            self.remember_end(effects, name, before, EndReason::Transferred);
            let size = self.locks.get(name).map_or(1, |lock| lock.size());
            effects.granted(name.clone(), after, size, None);
        }
    }

    /// Below what is held, nothing is granted until enough is given back.
    pub(super) fn resize(&mut self, effects: &mut Effects, name: &Name, size: u32) -> CommandResult {
        self.check_resize(name, size)?;
        if self.locks.get(name).is_some() {
            self.locks.resize(name, size);
            self.grant_waiters(effects, name, Vacancy::default());
        } else {
            self.remember_size(name, size);
        }
        Ok(Outcome::Resized { size })
    }

    pub(super) fn check_resize(&self, name: &Name, size: u32) -> Result<(), Refusal> {
        if size == 0 {
            return Err(Refusal::ZeroSize);
        }
        if size == 1 && self.supports(Feature::ModeBounds) {
            return Err(Refusal::SizeOfOne);
        }
        check_max(Field::Size, size.into(), self.header.limits.size_max)?;
        let Some(lock) = self.locks.get(name) else {
            let remembered = self.remembered_sizes.size(name).ok_or(Refusal::NoSuchLock)?;
            return if remembered > 1 { Ok(()) } else { Err(Refusal::NotCounted) };
        };
        if !lock.is_counted() {
            return Err(Refusal::NotCounted);
        }
        let waiters = lock.queue().iter().filter(|(_, waiter)| waiter.size == lock.size());
        match waiters.map(|(_, waiter)| waiter.weight()).max() {
            Some(weight) if weight > size => Err(Refusal::SizeBelowWeight { weight }),
            _ => Ok(()),
        }
    }

    /// Changes what the leader of an election says about itself.
    pub(super) fn set_value(
        &mut self,
        effects: &mut Effects,
        name: &Name,
        key: HoldKey,
        value: ArcStr,
    ) -> CommandResult {
        let before = self.check_value(name, key, &value)?.clone();
        let terms = before.shared_terms().unwrap_or_default();
        let terms = Arc::new(Terms { value: Some(value.clone()), ..(*terms).clone() });
        self.client_knows(name, before.token);
        let changed = self.locks.change_hold(name, before.token, |hold| hold.set_terms(terms.clone()));
        let after = changed.ok_or(Refusal::Broken("a hold vanished while its value changed"))?;
        let (token, session, dialect) = (after.token, after.owner.session(), after.dialect);
        for name in before.places(name) {
            self.usages.remove(before.caller, before.usage(name));
            self.usages.add(after.caller, after.usage(name));
            effects.events.push(Event::ValueChanged {
                name: name.clone(),
                token,
                value: value.clone(),
                session,
                dialect,
            });
        }
        Ok(Outcome::ValueSet(after.to_grant()))
    }

    pub(super) fn check_value(&self, name: &Name, key: HoldKey, value: &str) -> Result<&Hold, Refusal> {
        check_max(Field::Value, value.len() as u64, self.header.limits.value_bytes_max)?;
        let hold = self.find_hold(name, &Proof::Key(key))?;
        let before = hold.value().ok_or(Refusal::NotElected)?;
        let growth = (value.len() as u64).saturating_sub(before.len() as u64);
        self.check_usage(hold.caller, crate::domain::usage::Usage { bytes: growth, ..Default::default() })?;
        Ok(hold)
    }
}

/// The request that transferred the hold is answered, and no other may be given it.
fn delivery_after_transfer(hold: &Hold, new_key: HoldKey) -> Delivery {
    let lease_ms = hold.tracked().and_then(|tracked| tracked.lease_ms);
    let terms = hold.shared_terms();
    if terms.is_none() {
        return Delivery::Answered;
    }
    let (state, idempotency_id, attempt) = (DeliveryState::Confirmed, None, Some(new_key));
    Delivery::Tracked(Box::new(Tracked { state, idempotency_id, attempt, lease_ms, terms }))
}
