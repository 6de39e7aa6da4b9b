//! The recorded nodes: which incarnation of each may submit commands, and which feature level it supports.

use super::ids::{CommandId, Incarnation, NodeId, StoreId};
use super::outcome::Outcome;
use super::refusal::Refusal;
use crate::mutants::planted;
use std::collections::BTreeMap;

/// More than any cluster has: a bound on memory, not a limit to plan with.
const NODES_MAX: usize = 1024;

/// One node, as the log knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeRecord {
    /// The incarnation whose commands are accepted.
    pub incarnation: Incarnation,
    /// The last command of this incarnation that was applied.
    pub last_sequence: u64,
    /// Not declared dead.
    pub up: bool,
    pub store: StoreId,
    /// The feature level that its program supports.
    pub level: u32,
}

#[derive(Clone, Default)]
pub struct Nodes(BTreeMap<NodeId, NodeRecord>);

impl Nodes {
    pub fn all(&self) -> &BTreeMap<NodeId, NodeRecord> {
        &self.0
    }

    pub fn is_up(&self, incarnation: Incarnation) -> bool {
        self.0.values().any(|node| node.up && node.incarnation == incarnation)
    }

    pub fn all_support(&self, level: u32) -> bool {
        self.0.values().all(|node| node.level >= level)
    }

    pub fn last_sequence(&self, incarnation: Incarnation) -> u64 {
        self.0.values().find(|node| node.incarnation == incarnation).map_or(0, |node| node.last_sequence)
    }

    /// Lets each command of a recorded incarnation pass once. Those of an incarnation that was declared dead are
    /// refused, and do not pass later either.
    pub fn admit(&mut self, id: CommandId) -> Result<(), Outcome> {
        match self.0.values_mut().find(|node| node.incarnation == id.incarnation) {
            None => Err(Outcome::Refused(Refusal::UnknownIncarnation)),
            Some(node) if id.sequence <= node.last_sequence && !planted!("dedup-off") => Err(Outcome::Duplicate),
            Some(node) => {
                node.last_sequence = id.sequence;
                if node.up { Ok(()) } else { Err(Outcome::Refused(Refusal::UnknownIncarnation)) }
            }
        }
    }

    /// Whether a node may register with this data directory.
    pub fn check_registration(&self, node: NodeId, store: StoreId) -> Result<(), Refusal> {
        let differs = |known: StoreId| known != store && known != StoreId::UNKNOWN && store != StoreId::UNKNOWN;
        match self.0.get(&node) {
            Some(known) if differs(known.store) => Err(Refusal::StoreMismatch),
            None if self.0.len() >= NODES_MAX => Err(Refusal::Broken("more nodes than any cluster has")),
            _ => Ok(()),
        }
    }

    /// Records that a node is up. A new incarnation replaces the old one, which is over; the same one goes on counting.
    pub fn record(&mut self, node: NodeId, incarnation: Incarnation, store: StoreId, level: u32) {
        let old = self.0.get(&node);
        let last_sequence = old.filter(|old| old.incarnation == incarnation).map_or(0, |old| old.last_sequence);
        let store = match store {
            StoreId::UNKNOWN => old.map_or(store, |old| old.store),
            known => known,
        };
        self.0.insert(node, NodeRecord { incarnation, last_sequence, up: true, store, level });
    }

    /// Declares an incarnation dead; whether it was up.
    pub fn set_down(&mut self, node: NodeId, incarnation: Incarnation) -> bool {
        let known = self.0.get_mut(&node).filter(|known| known.up && known.incarnation == incarnation);
        known.map(|known| known.up = false).is_some()
    }

    pub fn forget(&mut self, node: NodeId) -> bool {
        self.0.remove(&node).is_some()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a record from a snapshot; whether it is new.
    pub fn insert(&mut self, node: NodeId, record: NodeRecord) -> bool {
        self.0.insert(node, record).is_none()
    }
}
