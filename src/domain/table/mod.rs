//! The table: all the state of the service. `apply` changes it, by the steps in the other modules; `preflight`, `quota`
//! and `views` only read it.

mod acquire;
mod apply;
mod blocking;
mod convert;
mod deadlock;
mod delivery;
mod ending;
mod expiry;
mod freezes;
mod from_backup;
mod history;
mod leader;
mod lease;
mod marks;
mod nodes;
mod preflight;
mod quota;
mod release;
mod retry;
mod sessions;
mod sweep;
mod transfer;
mod views;
mod waiting;

pub use leader::LeaderView;

use crate::domain::command::Force;
use crate::domain::freezes::Freezes;
use crate::domain::history::History;
use crate::domain::idempotency::IdempotencyKeys;
use crate::domain::ids::{Name, Token};
use crate::domain::limits::{Feature, Limits};
use crate::domain::locks::Locks;
use crate::domain::marks::Marks;
use crate::domain::nodes::Nodes;
use crate::domain::outcome::{Event, Outcome, WaitNote};
use crate::domain::quotas::Quotas;
use crate::domain::refusal::Refusal;
use crate::domain::remembered_sizes::RememberedSizes;
use crate::domain::sessions::Sessions;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usages;
use crate::mutants::planted;
use std::sync::Arc;

#[derive(Default)]
pub struct Table {
    pub(super) header: Header,
    pub(super) locks: Locks,
    pub(super) sessions: Sessions,
    pub(super) remembered_sizes: RememberedSizes,
    pub(super) idempotency_keys: IdempotencyKeys,
    pub(super) marks: Marks,
    pub(super) history: History,
    pub(super) freezes: Freezes,
    pub(super) usages: Usages,
}

/// The state that does not grow with the number of locks and sessions: the head of every snapshot.
#[derive(Clone, Default)]
pub struct Header {
    pub now: Timestamp,
    pub epoch: u64,
    /// The next fencing token; 0 in a table that no leader has opened.
    pub next_token: u64,
    pub next_waiter: u64,
    pub event_origin: u64,
    pub table_id: u64,
    pub limits: Limits,
    /// The feature level: what apply may do.
    pub level: u32,
    /// Grants to waiters stay unconfirmed until their node says that it can answer.
    pub confirm: bool,
    /// Milliseconds from 1970 to the beginning of cluster time, by the clock of the leader; 0 if unknown.
    pub clock_ms: u64,
    pub nodes: Nodes,
    /// None below their level.
    pub quotas: Arc<Quotas>,
}

/// How many locks a sweep looks at per entry: most of them have nothing to do, so that each costs little.
const LOOKS_PER_ENTRY: u32 = 8192;

type CommandResult = Result<Outcome, Refusal>;

/// What one entry does besides its outcomes.
struct Effects {
    events: Vec<Event>,
    waits: Vec<WaitNote>,
    /// How much more may be expired besides the commands.
    budget: u32,
    /// By whom a hold is ended, and why, while that is carried out.
    force: Option<Box<Force>>,
    /// How many more locks a sweep may look at.
    looks: u32,
}

/// Room may have become free in a lock, or another waiter may be first: the lock has to be granted to its waiters.
#[must_use = "pass it to `Table::grant_waiters`"]
#[derive(Default)]
struct Vacancy {
    /// The same in these locks: a hold or a waiter of several names left.
    others: Vec<Name>,
}

impl Effects {
    fn new(budget: u32) -> Effects {
        Effects { events: Vec::new(), waits: Vec::new(), budget, force: None, looks: LOOKS_PER_ENTRY }
    }

    /// Takes one unit of the budget; whether there was one.
    fn spend(&mut self) -> bool {
        let left = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        left
    }
}

impl Vacancy {
    /// After a hold or waiter of these names left.
    fn among(names: &[(Name, u32)]) -> Vacancy {
        Vacancy { others: names.iter().map(|(name, _)| name.clone()).collect() }
    }

    fn and(mut self, more: Vacancy) -> Vacancy {
        self.others.extend(more.others);
        self
    }

    /// The lock has no waiters that could be granted it.
    fn without_waiters(self) {}
}

impl Table {
    /// The leadership whose entries are accepted.
    pub fn epoch(&self) -> u64 {
        self.header.epoch
    }

    pub fn now(&self) -> Timestamp {
        self.header.now
    }

    pub fn limits(&self) -> &Limits {
        &self.header.limits
    }

    /// Where event ids start: added to the index of their entry, so that no event id of a service whose data was lost
    /// is found in the log of its successor. Tokens start there for the same reason.
    pub fn event_origin(&self) -> u64 {
        self.header.event_origin
    }

    /// Tells this table from every other in the ids of its events; random, 0 in tables of older releases.
    pub fn table_id(&self) -> u64 {
        self.header.table_id
    }

    /// The last token issued.
    pub fn last_token(&self) -> Token {
        Token(self.header.next_token.saturating_sub(1))
    }

    /// The feature level; 0 in a table that no leader has opened.
    pub fn level(&self) -> u32 {
        self.header.level
    }

    /// Whether grants to waiters are confirmed before they are answered.
    pub fn confirms_deliveries(&self) -> bool {
        self.header.confirm && self.supports(Feature::Clusters)
    }

    /// Whether callers are recorded, and limited.
    pub fn records_callers(&self) -> bool {
        self.supports(Feature::Callers)
    }

    fn supports(&self, feature: Feature) -> bool {
        self.header.level >= feature as u32
    }

    /// Issues the next fencing token.
    fn issue_token(&mut self) -> Token {
        let token = Token(self.header.next_token);
        self.header.next_token += planted!("token-reused", 1 => 0);
        token
    }
}
