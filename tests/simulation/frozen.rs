//! When which names were certainly frozen in a simulated run, and whether something was granted under them all the same.

use latchd::domain::Covers;

use crate::cluster::history::{History, Nanos, Op};

/// From the answer to a freeze up to its end by the true clock, or up to when somebody asked to thaw it.
#[derive(Clone, Debug)]
pub struct Frozen {
    pub target: &'static str,
    pub covers: Covers,
    pub from: Nanos,
    pub until: Nanos,
}

impl Frozen {
    fn covers(&self, name: &str) -> bool {
        match self.covers {
            Covers::Name => name == self.target,
            Covers::Prefix => name.starts_with(self.target),
        }
    }

    /// What was asked for and granted within this time.
    fn forbids(&self, op: &Op) -> bool {
        let is_within = self.from < op.call && op.end < self.until;
        is_within && op.granted().is_some() && op.target.places().any(|(name, _)| self.covers(name))
    }
}

pub fn complaints(frozen: &[Frozen], history: &History) -> Vec<String> {
    let granted = |frozen: &Frozen| {
        let (frozen, ops) = (frozen.clone(), &history.ops);
        ops.iter().filter(move |op| frozen.forbids(op)).map(|op| format!("granted under a freeze: {op:?}"))
    };
    frozen.iter().flat_map(granted).collect()
}
