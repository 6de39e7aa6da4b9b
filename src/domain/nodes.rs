//! What is recorded of the nodes: which process run of each may answer requests, and what it knows.

use super::ids::{CommandId, Incarnation, Name, NodeId, StoreId, Token, WaiterId};
use super::lock::Place;
use super::outcome::{Outcome, Refusal, WaitEnd};
use super::table::{Run, Table};
use crate::mutants;
use std::collections::{BTreeMap, BTreeSet};

/// What this program knows to do. Apply does what the table's level says, which is raised only when every recorded
/// node is at it:
///
/// 1. a single node;
/// 2. nodes come and go, deliveries are confirmed, idempotency keys are kept;
/// 3. event ids of a service that begins at it begin where its tokens do;
/// 4. and have a random part, which tells them from those of any other service;
/// 5. tokens and event ids go on from the clock at each leadership, not only at the first;
/// 6. it is kept who asked: a session belongs to the credential that opened it, what the table takes has a bound, and
///    so has what one caller takes of it.
pub const FEATURE_LEVEL: u32 = 6;

/// The first level with confirmed deliveries and idempotency keys.
const LEVEL_OF_CLUSTERS: u32 = 2;

/// The first level whose tables, and so their snapshots, have an origin.
pub(super) const LEVEL_OF_ORIGINS: u32 = 3;

/// The first level whose tables, and so their snapshots, have a life.
pub(super) const LEVEL_OF_LIVES: u32 = 4;

/// The first level at which every leadership, not only the first, moves tokens and event ids up.
const LEVEL_OF_RAISED_TOKENS: u32 = 5;

/// The first level whose entries and snapshots say who asked.
pub(super) const LEVEL_OF_CALLERS: u32 = 6;

/// More than any cluster has: a bound on what is kept, not a limit to plan with.
const NODES_MAX: usize = 1024;

/// One node, as the log knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRecord {
    /// The run of its process whose commands are accepted.
    pub incarnation: Incarnation,
    /// The last command applied of this run.
    pub last_sequence: u64,
    /// Not declared dead.
    pub up: bool,
    pub store: StoreId,
    /// The feature level that its program knows.
    pub level: u32,
}

impl Table {
    /// The nodes that presented themselves and were not forgotten.
    pub fn nodes(&self) -> &BTreeMap<NodeId, NodeRecord> {
        &self.nodes
    }

    /// The last command applied of this run, 0 if none is recorded.
    pub fn last_sequence(&self, run: Incarnation) -> u64 {
        self.nodes.values().find(|node| node.incarnation == run).map_or(0, |node| node.last_sequence)
    }

    /// The commands of this run whose acquire waits in a queue.
    pub fn waiting_commands(&self, run: Incarnation) -> BTreeSet<u64> {
        let of_run = self.index.attached.range((run, WaiterId(0))..=(run, WaiterId(u64::MAX)));
        let command = |(name, place): &(Name, Place)| self.locks.get(name)?.queue.get(place)?.answered_by();
        of_run.filter_map(|(_, at)| command(at)).map(|command| command.sequence).collect()
    }

    /// The feature level that apply is at; 0 in a table that no leader has opened.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// Whether grants to waiters are to be confirmed before they are answered.
    pub fn confirms_deliveries(&self) -> bool {
        self.confirm && self.knows_clusters()
    }

    pub(super) fn knows_clusters(&self) -> bool {
        self.level >= LEVEL_OF_CLUSTERS
    }

    pub(super) fn knows_origins(&self) -> bool {
        self.level >= LEVEL_OF_ORIGINS
    }

    pub(super) fn knows_lives(&self) -> bool {
        self.level >= LEVEL_OF_LIVES
    }

    pub(super) fn raises_tokens(&self) -> bool {
        self.level >= LEVEL_OF_RAISED_TOKENS
    }

    /// Whether it is kept who asked, and what that bounds.
    pub fn knows_callers(&self) -> bool {
        self.level >= LEVEL_OF_CALLERS
    }

    /// Lets each command of a recorded run pass once; those of a run that was declared dead are used up unheard.
    pub(super) fn admit(&mut self, id: CommandId) -> Result<(), Outcome> {
        match self.nodes.values_mut().find(|node| node.incarnation == id.incarnation) {
            None => Err(Outcome::Refused(Refusal::UnknownIncarnation)),
            Some(node) if id.sequence <= node.last_sequence && !mutants::on("dedup-off") => Err(Outcome::Duplicate),
            Some(node) => {
                node.last_sequence = id.sequence;
                if node.up { Ok(()) } else { Err(Outcome::Refused(Refusal::UnknownIncarnation)) }
            }
        }
    }

    /// The election vouches for the leader, so its record becomes what it says.
    pub(super) fn record_leader(
        &mut self,
        run: &mut Run,
        node: NodeId,
        incarnation: Incarnation,
        store: StoreId,
        level: u32,
    ) {
        self.record(node, incarnation, store, level);
        self.drop_requests_of_dead_runs(run);
    }

    pub(super) fn node_up(
        &mut self,
        run: &mut Run,
        node: NodeId,
        incarnation: Incarnation,
        store: StoreId,
        level: u32,
    ) -> Outcome {
        let known = self.nodes.get(&node);
        let other = |known: StoreId| known != store && known != StoreId::UNKNOWN && store != StoreId::UNKNOWN;
        if known.is_some_and(|known| other(known.store)) {
            return Outcome::Refused(Refusal::StoreMismatch);
        }
        if known.is_none() && self.nodes.len() >= NODES_MAX {
            return Outcome::Refused(Refusal::Broken("more nodes than any cluster has"));
        }
        self.record(node, incarnation, store, level);
        self.drop_requests_of_dead_runs(run);
        Outcome::NodeRecorded
    }

    pub(super) fn node_down(&mut self, run: &mut Run, node: NodeId, incarnation: Incarnation) -> Outcome {
        match self.nodes.get_mut(&node).filter(|known| known.up && known.incarnation == incarnation) {
            None => return Outcome::Refused(Refusal::NodeUnknown),
            Some(known) => known.up = false,
        }
        self.drop_requests_of_dead_runs(run);
        Outcome::NodeRecorded
    }

    pub(super) fn forget_node(&mut self, run: &mut Run, node: NodeId) -> Outcome {
        if self.nodes.remove(&node).is_none() {
            return Outcome::Refused(Refusal::NodeUnknown);
        }
        self.drop_requests_of_dead_runs(run);
        Outcome::NodeRecorded
    }

    pub(super) fn raise_level(&mut self, level: u32) -> Outcome {
        if level <= self.level || self.nodes.values().any(|node| node.level < level) {
            return Outcome::Refused(Refusal::LevelRefused { level: self.level });
        }
        self.level = level;
        Outcome::LevelRaised { level }
    }

    /// A new run of a node replaces the old one, which is over; the same run goes on counting.
    fn record(&mut self, node: NodeId, incarnation: Incarnation, store: StoreId, level: u32) {
        let old = self.nodes.get(&node);
        let last_sequence = old.filter(|old| old.incarnation == incarnation).map_or(0, |old| old.last_sequence);
        let store = match store {
            StoreId::UNKNOWN => old.map_or(store, |old| old.store),
            known => known,
        };
        self.nodes.insert(node, NodeRecord { incarnation, last_sequence, up: true, store, level });
    }

    /// What requests of dead process runs wait for or were granted unheard. Nobody will answer them any more: they
    /// leave, except that one with an idempotency key keeps a place in the queue a while for its retry.
    fn drop_requests_of_dead_runs(&mut self, run: &mut Run) {
        let mut left = BTreeSet::new();
        let answering = if mutants::on("dead-requests-stay") { BTreeSet::new() } else { self.index.answering_runs() };
        let dead: Vec<Incarnation> = answering.into_iter().filter(|run| !self.is_up(*run)).collect();
        for dead in dead {
            for (name, token) in self.unconfirmed_of(dead) {
                self.take_back(run, &name, token, dead);
                left.insert(name);
            }
            for (name, place) in self.attached_to(dead) {
                self.lose_wait(run, &name, place, WaitEnd::Cancelled);
                left.insert(name);
            }
        }
        // Only now, so that none of the dead gets its turn when one before it leaves.
        left.iter().for_each(|name| _ = self.hand_on(run, name));
    }

    fn is_up(&self, run: Incarnation) -> bool {
        self.nodes.values().any(|node| node.up && node.incarnation == run)
    }

    fn unconfirmed_of(&self, run: Incarnation) -> Vec<(Name, Token)> {
        let all = self.index.unconfirmed.range((run, Token(0))..=(run, Token(u64::MAX)));
        all.map(|((_, token), name)| (name.clone(), *token)).collect()
    }

    fn attached_to(&self, run: Incarnation) -> Vec<(Name, Place)> {
        let all = self.index.attached.range((run, WaiterId(0))..=(run, WaiterId(u64::MAX)));
        all.map(|(_, place)| place.clone()).collect()
    }
}
