//! What is remembered of one hold that has ended.

use crate::domain::command::Force;
use crate::domain::ids::{Caller, Dialect, Name, SessionId, Token};
use crate::domain::locks::{Hold, Owner};
use crate::domain::metadata::Metadata;
use crate::domain::outcome::EndReason;
use crate::domain::time::Timestamp;
use crate::domain::usage::{of_metadata, of_text};
use arcstr::ArcStr;
use std::time::Duration;

/// With its part of trees and of the ring of its name.
const PAST_HOLD_BYTES: u64 = 288;
const RARE_BYTES: u64 = 48;

/// A hold that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct PastHold {
    /// The last token of the hold.
    pub token: Token,
    pub since: Timestamp,
    pub ended: Timestamp,
    /// Milliseconds from 1970 to the beginning of cluster time, by the clock of the leader under which it ended; 0 if unknown.
    pub clock_ms: u64,
    /// Without a label that would prove the right to release.
    pub owner: Owner,
    pub metadata: Metadata,
    pub dialect: Dialect,
    pub why: EndReason,
    /// Its session ended because it was idle.
    pub timed_out: bool,
    /// Of the lock, when it ended.
    pub size: u32,
    pub weight: u32,
    pub caller: Caller,
    /// What few holds have.
    pub rare: Option<Box<RarePast>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RarePast {
    /// What the leader of an election said about itself.
    pub value: Option<ArcStr>,
    /// Who forced the end, and why.
    pub force: Option<Force>,
}

impl PastHold {
    pub fn session(&self) -> Option<SessionId> {
        self.owner.session()
    }

    /// The owner label, where it is a name and no proof.
    pub fn label(&self) -> Option<&str> {
        self.owner.label().map(|label| &**label)
    }

    pub fn value(&self) -> Option<&ArcStr> {
        self.rare.as_ref().and_then(|rare| rare.value.as_ref())
    }

    /// Who forced the end, and why.
    pub fn force(&self) -> Option<&Force> {
        self.rare.as_ref().and_then(|rare| rare.force.as_ref())
    }

    /// How it ended, in JSON and in listings.
    pub fn end(&self) -> &'static str {
        match self.why {
            EndReason::Released => "released",
            EndReason::Expired => "expired",
            EndReason::Forced => "forced",
            EndReason::SessionEnded if self.timed_out => "session-idle",
            EndReason::SessionEnded => "session-closed",
            EndReason::Transferred => "transferred",
            EndReason::Cancelled => "undelivered",
        }
    }

    /// Since 1970.
    pub fn ended_at(&self) -> Duration {
        Duration::from_millis(self.clock_ms.saturating_add(self.ended.0))
    }

    /// In cluster time, which stands still while no node runs.
    pub fn held_for(&self) -> Duration {
        self.ended.since(self.since)
    }

    /// Since 1970.
    pub fn acquired_at(&self) -> Duration {
        self.ended_at().saturating_sub(self.held_for())
    }

    /// Of `hold`, whose lock had this size when it ended.
    pub fn of(hold: &Hold, why: EndReason, size: u32, force: Option<Force>) -> PastHold {
        let is_shown = !hold.dialect.has_secret_labels() || hold.owner.label().is_none();
        let value = hold.value().cloned();
        PastHold {
            token: hold.token,
            since: hold.since.into(),
            ended: Timestamp(0),
            clock_ms: 0,
            owner: if is_shown { hold.owner.clone() } else { Owner::Bearer },
            metadata: hold.metadata.clone(),
            dialect: hold.dialect,
            why,
            timed_out: false,
            size,
            weight: hold.weight(),
            caller: hold.caller,
            rare: (value.is_some() || force.is_some()).then(|| Box::new(RarePast { value, force })),
        }
    }

    /// About how much memory it takes under this name.
    pub fn bytes(&self, name: &Name) -> u64 {
        let rare = self.rare.as_ref().map_or(0, |rare| {
            let value = rare.value.as_ref().map_or(0, |value| of_text(value));
            RARE_BYTES + value + rare.force.as_ref().map_or(0, |force| of_text(&force.by) + of_text(&force.reason))
        });
        PAST_HOLD_BYTES + of_text(name) + self.label().map_or(0, of_text) + of_metadata(&self.metadata) + rare
    }

    /// For whom it counts: a credential, wherever it is used, or an address without one.
    pub fn counts_for(&self) -> Caller {
        let address = if self.caller.credential == 0 { self.caller.address } else { 0 };
        Caller { address, ..self.caller }
    }
}
