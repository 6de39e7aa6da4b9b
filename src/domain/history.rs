//! The history of each name: its last holds that have ended.
//!
//! Two limits bound it: how many are kept of each name, and the memory of all. Where the memory is full, the oldest goes of the
//! caller that has most in it. So one that takes thousands of names forgets its own history, and not that of others, and no
//! share has to be set. None of this is counted with what callers hold: the end of a hold is never refused, and what is
//! remembered of it never keeps anybody from a grant.

use super::command::Force;
use super::cow_map::{CowMap, FrozenMap};
use super::ids::{Caller, Dialect, Name, SessionId, Token};
use super::limits::Limits;
use super::locks::{Hold, Owner};
use super::metadata::Metadata;
use super::outcome::EndReason;
use super::time::Timestamp;
use super::usage::{of_metadata, of_text};
use arcstr::ArcStr;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What one end of a hold may push out, after the limit was lowered.
const DROPPED_AT_ONCE: usize = 64;

/// With its part of trees and of the ring of its name.
const PAST_HOLD_BYTES: u64 = 288;
const RARE_BYTES: u64 = 48;

/// Callers are compared by what they have in steps of so many bytes, so that their order seldom changes.
const STEP_BYTES: u64 = 4 * 1024;

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

/// The past holds of one name, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ring(VecDeque<PastHold>);

#[derive(Default)]
pub struct History {
    rings: CowMap<Name, Ring>,
    order: Order,
}

/// What is dropped next.
#[derive(Default)]
struct Order {
    /// The past holds of each owner, oldest first.
    by_owner: BTreeSet<(Caller, Timestamp, Token, Name)>,
    bytes_of: BTreeMap<Caller, u64>,
    /// The owners by the steps that they have.
    by_steps: BTreeSet<(u64, Caller)>,
    bytes: u64,
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
    pub(super) fn of(hold: &Hold, why: EndReason, size: u32, force: Option<Force>) -> PastHold {
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
    fn bytes(&self, name: &Name) -> u64 {
        let rare = self.rare.as_ref().map_or(0, |rare| {
            let value = rare.value.as_ref().map_or(0, |value| of_text(value));
            RARE_BYTES + value + rare.force.as_ref().map_or(0, |force| of_text(&force.by) + of_text(&force.reason))
        });
        PAST_HOLD_BYTES + of_text(name) + self.label().map_or(0, of_text) + of_metadata(&self.metadata) + rare
    }

    /// For whom it counts: a credential, wherever it is used, or an address without one.
    fn counts_for(&self) -> Caller {
        let address = if self.caller.credential == 0 { self.caller.address } else { 0 };
        Caller { address, ..self.caller }
    }
}

impl Ring {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PastHold> {
        self.0.iter()
    }
}

impl FromIterator<PastHold> for Ring {
    fn from_iter<I: IntoIterator<Item = PastHold>>(holds: I) -> Ring {
        Ring(holds.into_iter().collect())
    }
}

impl History {
    /// How many holds are remembered, and in how many bytes.
    pub fn size(&self) -> (usize, u64) {
        (self.order.by_owner.len(), self.order.bytes)
    }

    pub fn of(&self, name: &Name) -> Option<&Ring> {
        self.rings.get(name)
    }

    pub fn freeze(&self) -> FrozenMap<Name, Ring> {
        self.rings.freeze()
    }

    /// Adds what a snapshot has; whether it is new.
    pub fn insert(&mut self, name: Name, ring: Ring) -> bool {
        ring.iter().for_each(|past| self.order.add(&name, past));
        self.rings.insert(name, ring).is_none()
    }

    /// Remembers the end of a hold.
    pub fn push(&mut self, name: &Name, past: PastHold, limits: &Limits) {
        let (name, ring) = self.rings.upsert(name.clone(), Ring::default(), |_, _| ());
        while ring.len() as u64 >= limits.history_per_lock
            && let Some(oldest) = ring.0.pop_front()
        {
            self.order.remove(&name, &oldest);
        }
        if ring.0.is_empty() {
            // Most names of a flood are used once.
            ring.0.reserve_exact(1);
        }
        self.order.add(&name, &past);
        ring.0.push_back(past);
        for _ in 0..DROPPED_AT_ONCE {
            if self.order.bytes <= limits.history_bytes_max || !self.drop_oldest() {
                break;
            }
        }
    }

    /// Drops the oldest of whoever has most; whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some((name, ended, token)) = self.order.next() else { return false };
        let Some(ring) = self.rings.get_mut(&name) else { return false };
        let at = ring.0.iter().position(|past| (past.ended, past.token) == (ended, token));
        let Some(past) = at.and_then(|at| ring.0.remove(at)) else { return false };
        self.order.remove(&name, &past);
        if ring.0.is_empty() {
            self.rings.remove(&name);
        }
        true
    }
}

impl Order {
    fn add(&mut self, name: &Name, past: &PastHold) {
        let owner = past.counts_for();
        self.by_owner.insert((owner, past.ended, past.token, name.clone()));
        self.change(owner, |bytes| bytes.saturating_add(past.bytes(name)));
    }

    fn remove(&mut self, name: &Name, past: &PastHold) {
        let owner = past.counts_for();
        self.by_owner.remove(&(owner, past.ended, past.token, name.clone()));
        self.change(owner, |bytes| bytes.saturating_sub(past.bytes(name)));
    }

    fn change(&mut self, owner: Caller, change: impl Fn(u64) -> u64) {
        self.bytes = change(self.bytes);
        let bytes = self.bytes_of.entry(owner).or_default();
        let before = *bytes;
        *bytes = change(before);
        let after = *bytes;
        if after == 0 {
            self.bytes_of.remove(&owner);
        }
        if before == 0 || after == 0 || before / STEP_BYTES != after / STEP_BYTES {
            self.by_steps.remove(&(before / STEP_BYTES, owner));
            if after > 0 {
                self.by_steps.insert((after / STEP_BYTES, owner));
            }
        }
    }

    /// The oldest of the owner that has most.
    fn next(&self) -> Option<(Name, Timestamp, Token)> {
        let (_, owner) = *self.by_steps.last()?;
        let from = (owner, Timestamp(0), Token(0), Name::new());
        let (of, ended, token, name) = self.by_owner.range(from..).next()?;
        (*of == owner).then(|| (name.clone(), *ended, *token))
    }
}
