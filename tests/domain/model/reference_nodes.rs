//! Nodes in the reference model.

use super::reference::Reference;
use latchd::domain::{Command, Incarnation, NodeId, Outcome, Refusal, StoreId};

pub struct Node {
    pub run: Incarnation,
    pub last_sequence: u64,
    pub up: bool,
    pub store: StoreId,
    pub level: u32,
}

impl Reference {
    pub fn command_of_leader(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        match *command {
            Command::NodeUp { node, incarnation, store, level } => {
                let known = self.nodes.get(&node).map_or(StoreId::UNKNOWN, |node| node.store);
                if known != store && ![known, store].contains(&StoreId::UNKNOWN) {
                    return Err(Refusal::StoreMismatch);
                }
                self.record(node, incarnation, store, level);
                Ok(Outcome::NodeRecorded)
            }
            Command::NodeDown { node, incarnation } => {
                let known = self.nodes.get_mut(&node).filter(|known| known.up && known.run == incarnation);
                known.ok_or(Refusal::NodeUnknown)?.up = false;
                self.bury_the_dead();
                Ok(Outcome::NodeRecorded)
            }
            Command::ForgetNode { node } => {
                self.nodes.remove(&node).ok_or(Refusal::NodeUnknown)?;
                self.bury_the_dead();
                Ok(Outcome::NodeRecorded)
            }
            Command::RaiseLevel { level, .. } => {
                if level <= self.level || self.nodes.values().any(|node| node.level < level) {
                    return Err(Refusal::LevelRefused { level: self.level });
                }
                self.level = level;
                Ok(Outcome::LevelRaised { level })
            }
            _ => Err(Refusal::Broken("not a leader's command")),
        }
    }

    pub fn record(&mut self, node: NodeId, run: Incarnation, store: StoreId, level: u32) {
        let before = self.nodes.remove(&node);
        let last_sequence = before.as_ref().filter(|node| node.run == run).map_or(0, |node| node.last_sequence);
        let known = before.map_or(store, |node| node.store);
        let store = if store == StoreId::UNKNOWN { known } else { store };
        self.nodes.insert(node, Node { run, last_sequence, up: true, store, level });
        self.bury_the_dead();
    }

    /// Requests of dead incarnations leave first; then free locks are granted.
    fn bury_the_dead(&mut self) {
        let mut left = std::collections::BTreeSet::new();
        for waiter in self.waiters.clone().into_iter().filter(|waiter| waiter.is_attached()) {
            if !self.is_up(waiter.command.incarnation) {
                self.lose_wait(waiter.key);
                left.insert(waiter.name);
            }
        }
        let unheard = self.holds.iter().filter_map(|hold| Some((hold.unconfirmed?, hold.token, hold.name.clone())));
        let mut unheard: Vec<_> = unheard.filter(|(run, ..)| !self.is_up(*run)).collect();
        unheard.sort();
        for (dead, token, name) in unheard {
            self.take_back(token, dead);
            left.insert(name);
        }
        left.iter().for_each(|name| _ = self.grant_waiters(name));
    }

    fn is_up(&self, run: Incarnation) -> bool {
        self.nodes.values().any(|node| node.up && node.run == run)
    }
}
