//! Nodes register, go down and are forgotten; the requests of a dead incarnation are dropped.

use super::{CommandResult, Effects, Table, Vacancy};
use crate::domain::ids::{Incarnation, Name, NodeId, StoreId, Token};
use crate::domain::limits::Limits;
use crate::domain::locks::Place;
use crate::domain::outcome::{Outcome, WaitEnd};
use crate::domain::quotas::Quotas;
use crate::domain::refusal::Refusal;
use crate::mutants::planted;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Table {
    pub(super) fn node_up(
        &mut self,
        effects: &mut Effects,
        node: NodeId,
        incarnation: Incarnation,
        store: StoreId,
        level: u32,
    ) -> CommandResult {
        self.header.nodes.check_registration(node, store)?;
        self.header.nodes.record(node, incarnation, store, level);
        self.drop_requests_of_dead_incarnations(effects);
        Ok(Outcome::NodeRecorded)
    }

    /// A node is down, or no member any more, if it was `known` to be.
    pub(super) fn node_lost(&mut self, effects: &mut Effects, known: bool) -> CommandResult {
        if !known {
            return Err(Refusal::NodeUnknown);
        }
        self.drop_requests_of_dead_incarnations(effects);
        Ok(Outcome::NodeRecorded)
    }

    pub(super) fn raise_level(
        &mut self,
        level: u32,
        limits: Option<&Limits>,
        quotas: Option<Arc<Quotas>>,
    ) -> CommandResult {
        if level <= self.header.level || !self.header.nodes.all_support(level) {
            return Err(Refusal::LevelRefused { level: self.header.level });
        }
        self.header.level = level;
        if let Some(limits) = limits {
            self.set_limits(limits);
        }
        if quotas.is_some() {
            self.set_quotas(quotas);
        }
        Ok(Outcome::LevelRaised { level })
    }

    /// No node answers the waiters of a dead incarnation, or the holds that it has not confirmed. They leave; with an
    /// idempotency key they keep a place in the queue for a while, for the retry.
    pub(super) fn drop_requests_of_dead_incarnations(&mut self, effects: &mut Effects) {
        let mut vacancies: BTreeMap<Name, Vacancy> = BTreeMap::new();
        let answering = planted!("waiters-of-dead-nodes-kept", self.locks.answering() => Default::default());
        let dead: Vec<Incarnation> =
            answering.into_iter().filter(|incarnation| !self.header.nodes.is_up(*incarnation)).collect();
        for dead in dead {
            let unconfirmed = self.locks.unconfirmed_by(dead);
            let unconfirmed: Vec<(Name, Token)> = unconfirmed.map(|(name, token)| (name.clone(), token)).collect();
            for (name, token) in unconfirmed {
                let vacancy = self.requeue_unconfirmed(effects, &name, token, dead);
                vacancies.entry(name).or_default().others.extend(vacancy.others);
            }
            let attached: Vec<(Name, Place)> = self.locks.attached_to(dead).cloned().collect();
            for (name, place) in attached {
                let vacancy = self.lose_waiter(effects, &name, place, WaitEnd::Cancelled);
                vacancies.entry(name).or_default().others.extend(vacancy.others);
            }
        }
        // Only now, or a waiter of another dead incarnation could be granted the lock.
        for (name, vacancy) in vacancies {
            self.grant_waiters(effects, &name, vacancy);
        }
    }
}
