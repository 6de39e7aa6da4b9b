//! One waiter in the queue of a lock.

use super::hold::Owner;
use crate::domain::ids::{Caller, CommandId, Dialect, HoldKey, IdempotencyId, Incarnation, Name, Token, WaiterId};
use crate::domain::metadata::Metadata;
use crate::domain::terms::Terms;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;
use std::cmp::Reverse;
use std::sync::Arc;

/// A waiter's place: the smallest is next.
pub type Place = (Reverse<i32>, WaiterId);

#[derive(Clone, Debug, PartialEq)]
pub struct Waiter {
    pub state: WaiterState,
    pub key: HoldKey,
    pub since: Timestamp,
    /// How long it asked to wait.
    pub timeout_ms: u64,
    /// When the wait ends; for an orphaned waiter, when the time for a retry ends.
    pub deadline: Timestamp,
    pub owner: Owner,
    pub size: u32,
    pub remembers_size: bool,
    pub lease_ms: Option<u64>,
    pub metadata: Metadata,
    pub dialect: Dialect,
    /// The request whose retry takes over this place.
    pub idempotency_id: Option<IdempotencyId>,
    pub caller: Caller,
    pub terms: Option<Arc<Terms>>,
    /// The shared hold that waits to become exclusive.
    pub upgrades: Option<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaiterState {
    /// The request of this command waits, and is answered when the wait ends.
    Attached(CommandId),
    /// No request waits: the owner label asks again.
    Detached(CommandId),
    /// The request was lost. The place is kept until the deadline, for a retry, and is granted nothing.
    Orphaned(Orphan),
}

/// What was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphan {
    /// The request of a waiter that was attached.
    Attached(CommandId),
    /// The request of a waiter that was detached.
    Detached(CommandId),
    /// The node to which the lock was granted: it died before it confirmed the hold.
    Unconfirmed(Incarnation),
}

impl Waiter {
    /// The command whose request is answered when the wait ends, if any.
    pub fn answered_by(&self) -> Option<CommandId> {
        match self.state {
            WaiterState::Attached(command) => Some(command),
            WaiterState::Detached(_) | WaiterState::Orphaned(_) => None,
        }
    }

    pub fn is_orphaned(&self) -> bool {
        matches!(self.state, WaiterState::Orphaned(_))
    }

    /// The request is lost, and the time for a retry ends at `until`.
    pub fn orphan(&mut self, until: Timestamp) {
        self.deadline = self.deadline.min(until);
        self.state = match self.state {
            WaiterState::Attached(command) => WaiterState::Orphaned(Orphan::Attached(command)),
            WaiterState::Detached(command) => WaiterState::Orphaned(Orphan::Detached(command)),
            WaiterState::Orphaned(orphan) => WaiterState::Orphaned(orphan),
        };
    }

    /// Of its part under this name.
    pub fn usage(&self, name: &Name) -> Usage {
        let terms = self.terms.as_deref();
        Usage::of_waiter(name, self.owner.label().map(|label| &**label), &self.metadata).with_terms(terms)
    }

    pub fn weight(&self) -> u32 {
        self.terms.as_ref().map_or(1, |terms| terms.weight)
    }

    /// The names of a wait for several; empty for any other.
    pub fn names(&self) -> &[(Name, u32)] {
        self.terms.as_ref().map_or(&[], |terms| &terms.names)
    }

    /// All its names, each with its size.
    pub fn places<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = (&'a Name, u32)> {
        Terms::places(self.terms.as_deref(), name, self.size)
    }

    /// Whether indexes find it under this name.
    pub fn is_led_by(&self, name: &Name) -> bool {
        self.names().first().is_none_or(|(first, _)| first == name)
    }
}
