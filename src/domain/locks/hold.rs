//! One hold of a lock, and how far its grant has come on the way to the client.

use crate::domain::ids::{Caller, Dialect, HoldKey, IdempotencyId, Incarnation, Name, SessionId, Token};
use crate::domain::metadata::Metadata;
use crate::domain::outcome::Grant;
use crate::domain::terms::Terms;
use crate::domain::time::{CompactTimestamp, Deadline, Timestamp};
use crate::domain::usage::Usage;
use arcstr::ArcStr;
use std::sync::Arc;

/// In 96 bytes, which an allocator hands out whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    pub key: HoldKey,
    pub token: Token,
    pub since: CompactTimestamp,
    /// When its lease ends; for an orphaned hold, when the time for a retry ends.
    pub deadline: Deadline,
    pub owner: Owner,
    pub metadata: Metadata,
    pub dialect: Dialect,
    /// Who acquired it.
    pub caller: Caller,
    pub delivery: Delivery,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Hold>() == 96);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Any caller with the key (or, in a dialect without keys, the name).
    Bearer,
    Session(SessionId),
    Label(ArcStr),
}

/// Whether the client knows of its hold. As small as a pointer, because most holds are plain, and answered at once.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// Confirmed, with nothing to remember: one request acquired it, without terms, and was answered.
    Answered,
    Tracked(Box<Tracked>),
}

/// What is remembered of the requests that asked for a hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracked {
    pub state: DeliveryState,
    /// The request whose retry is given this hold again.
    pub idempotency_id: Option<IdempotencyId>,
    /// The only attempt that may have been answered, by its key: cancelling it ends the hold. `None` once several
    /// attempts may have been answered.
    pub attempt: Option<HoldKey>,
    /// The lease that was asked for.
    pub lease_ms: Option<u64>,
    pub terms: Option<Arc<Terms>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    Confirmed,
    /// Granted to a waiter of this incarnation, which has not confirmed yet that it can answer.
    Unconfirmed(Incarnation),
    /// The request was lost. The hold is kept until its deadline, for a retry.
    Orphaned,
}

impl Owner {
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Owner::Session(session) => Some(*session),
            Owner::Bearer | Owner::Label(_) => None,
        }
    }

    pub fn label(&self) -> Option<&ArcStr> {
        match self {
            Owner::Label(label) => Some(label),
            Owner::Bearer | Owner::Session(_) => None,
        }
    }

    pub fn has_label(&self, label: &str) -> bool {
        self.label().is_some_and(|own| **own == *label)
    }
}

impl Hold {
    pub fn to_grant(&self) -> Grant {
        Grant { key: self.key, token: self.token, since: self.since.into(), deadline: self.deadline.moment() }
    }

    /// When it ends unless it is renewed: with its lease, or with its session if that ends earlier.
    pub fn end_time(&self, session_end: Option<Timestamp>) -> Option<Timestamp> {
        self.deadline.moment().into_iter().chain(session_end).min()
    }

    /// Of its part under this name.
    pub fn usage(&self, name: &Name) -> Usage {
        Usage::of_hold(name, self.owner.label().map(|label| &**label), &self.metadata).with_terms(self.terms())
    }

    pub fn terms(&self) -> Option<&Terms> {
        self.tracked().and_then(|tracked| tracked.terms.as_deref())
    }

    pub fn shared_terms(&self) -> Option<Arc<Terms>> {
        self.tracked().and_then(|tracked| tracked.terms.clone())
    }

    /// Changes the terms of a hold that has some.
    pub fn set_terms(&mut self, terms: Arc<Terms>) {
        if let Delivery::Tracked(tracked) = &mut self.delivery {
            tracked.terms = Some(terms);
        }
    }

    /// How many places it takes.
    pub fn weight(&self) -> u32 {
        self.terms().map_or(1, |terms| terms.weight)
    }

    /// The names of a hold of several; empty for any other.
    pub fn names(&self) -> &[(Name, u32)] {
        self.terms().map_or(&[], |terms| &terms.names)
    }

    /// What the leader of an election says about itself; `None` for any other hold.
    pub fn value(&self) -> Option<&ArcStr> {
        self.terms().and_then(|terms| terms.value.as_ref())
    }

    /// All its names.
    pub fn places<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Name> {
        Terms::places(self.terms(), name, 0).map(|(name, _)| name)
    }

    /// Whether indexes find it under this name.
    pub fn is_led_by(&self, name: &Name) -> bool {
        self.names().first().is_none_or(|(first, _)| first == name)
    }

    pub fn tracked(&self) -> Option<&Tracked> {
        match &self.delivery {
            Delivery::Answered => None,
            Delivery::Tracked(tracked) => Some(tracked),
        }
    }

    pub fn state(&self) -> DeliveryState {
        self.tracked().map_or(DeliveryState::Confirmed, |tracked| tracked.state)
    }

    pub fn idempotency_id(&self) -> Option<IdempotencyId> {
        self.tracked().and_then(|tracked| tracked.idempotency_id)
    }

    /// The incarnation that was granted this hold and has not confirmed it.
    pub fn unconfirmed(&self) -> Option<Incarnation> {
        match self.state() {
            DeliveryState::Unconfirmed(incarnation) => Some(incarnation),
            DeliveryState::Confirmed | DeliveryState::Orphaned => None,
        }
    }

    /// Whether no client knows of this hold if the attempt with this key is never answered.
    pub fn depends_on(&self, attempt: HoldKey) -> bool {
        self.tracked().map_or(self.key == attempt, |tracked| tracked.attempt == Some(attempt))
    }

    /// A client knows of this hold, or is about to: only this attempt may still be cancelled.
    pub fn confirm(&mut self, attempt: Option<HoldKey>) {
        let Delivery::Tracked(tracked) = &mut self.delivery else { return };
        (tracked.state, tracked.attempt) = (DeliveryState::Confirmed, attempt);
        if tracked.idempotency_id.is_none() && attempt == Some(self.key) && tracked.terms.is_none() {
            self.delivery = Delivery::Answered;
        }
    }

    /// The request is lost, and the time for a retry ends at `until`.
    pub fn orphan(&mut self, until: Deadline) {
        self.deadline = self.deadline.min(until);
        if let Delivery::Tracked(tracked) = &mut self.delivery {
            tracked.state = DeliveryState::Orphaned;
        }
    }
}
