//! Nodes in the reference model.

use super::Reference;
use latchd::domain::{Command, Incarnation, Limits, Name, NodeId, Outcome, Refusal, StoreId, WaitEnd};

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
            Command::RaiseLevel { level, ref limits, ref quotas } => {
                if level <= self.level || self.nodes.values().any(|node| node.level < level) {
                    return Err(Refusal::LevelRefused { level: self.level });
                }
                self.level = level;
                limits.iter().for_each(|limits| self.set_limits(limits));
                if quotas.is_some() {
                    self.set_quotas(quotas.as_ref());
                }
                Ok(Outcome::LevelRaised { level })
            }
            _ => Err(Refusal::Broken("not a leader's command")),
        }
    }

    /// Below level 7 the limits that came with it are 0, below level 10 those of the history, and below 11 those of freezes.
    pub fn set_limits(&mut self, limits: &Limits) {
        let limits =
            &if self.has_history() { *limits } else { Limits { history_per_lock: 0, history_bytes_max: 0, ..*limits } };
        let without = Limits {
            names_max: 0,
            lock_delay_ms_max: 0,
            value_bytes_max: 0,
            election_reliable_ms: 0,
            deadlock_search_max: 0,
            marks_max: 0,
            mark_idle_ms: 0,
            ..*limits
        };
        self.limits = if self.has_modes() { *limits } else { without };
        if self.level < 11 {
            (self.limits.freeze_ms_max, self.limits.freezes_max) = (0, 0);
        }
    }

    /// With the first node that lacks what this level brings.
    pub fn not_yet(&self, level: u32) -> Refusal {
        Refusal::NotYet { level, node: self.nodes.iter().find(|(_, node)| node.level < level).map(|(id, _)| *id) }
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
        let mut left: Vec<Name> = Vec::new();
        for waiter in self.waiters.clone().into_iter().filter(|waiter| waiter.is_attached()) {
            if !self.is_up(waiter.command.incarnation) {
                self.lose_wait(waiter.key, WaitEnd::Cancelled);
                left.extend(waiter.claim.names());
            }
        }
        let unheard = self.holds.iter().filter_map(|hold| Some((hold.unconfirmed?, hold.token, hold.claim.names())));
        let mut unheard: Vec<_> = unheard.filter(|(run, ..)| !self.is_up(*run)).collect();
        unheard.sort();
        for (dead, token, names) in unheard {
            self.take_back(token, dead);
            left.extend(names);
        }
        self.grant(left);
    }

    fn is_up(&self, run: Incarnation) -> bool {
        self.nodes.values().any(|node| node.up && node.run == run)
    }
}
