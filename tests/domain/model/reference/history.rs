//! What is remembered of ended holds, in the reference model: a list for each name. No script fills the memory.

use super::{Hold, Reference};
use arcstr::ArcStr;
use latchd::domain::{Dialect, EndReason, Force, Metadata, Name, PastHold, SessionId, Timestamp, Token};

/// A hold that has ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Past {
    token: Token,
    times: (Timestamp, Timestamp),
    session: Option<SessionId>,
    label: Option<String>,
    metadata: Metadata,
    dialect: Dialect,
    why: EndReason,
    timed_out: bool,
    size: u32,
    weight: u32,
    value: Option<ArcStr>,
    force: Option<Force>,
}

impl Past {
    /// As the table shows it.
    pub fn of(past: &PastHold) -> Past {
        Past {
            token: past.token,
            times: (past.since, past.ended),
            session: past.session(),
            label: past.label().map(str::to_owned),
            metadata: past.metadata.clone(),
            dialect: past.dialect,
            why: past.why,
            timed_out: past.timed_out,
            size: past.size,
            weight: past.weight,
            value: past.value().cloned(),
            force: past.force().cloned(),
        }
    }
}

impl Reference {
    /// Newest first.
    pub fn history(&self, name: &Name) -> Vec<Past> {
        let kept = self.limits.history_per_lock as usize;
        self.past.get(name).into_iter().flatten().rev().take(kept).cloned().collect()
    }

    /// Who forced the end, of the hold or of its session.
    fn force_of(&self, hold: &Hold, why: EndReason) -> Option<Force> {
        match why {
            EndReason::Forced => self.force.clone(),
            EndReason::SessionEnded => self.sessions.get(&hold.owner.session?)?.force.clone(),
            _ => None,
        }
    }

    /// Nobody has heard of a hold that was cancelled.
    pub fn remember(&mut self, name: &Name, hold: &Hold, why: EndReason, timed_out: bool) {
        let kept = self.limits.history_per_lock as usize;
        if kept == 0 || why == EndReason::Cancelled {
            return;
        }
        // The labels of Redis are proofs.
        let label = hold.owner.label.as_deref().filter(|_| hold.dialect != Dialect::Redis);
        let past = Past {
            token: hold.token,
            times: (hold.since, self.now),
            session: hold.owner.session,
            label: label.map(str::to_owned),
            metadata: hold.metadata.clone(),
            dialect: hold.dialect,
            why,
            timed_out,
            size: self.sizes.get(name).copied().unwrap_or(1),
            weight: hold.claim.weight,
            value: hold.claim.value.clone(),
            force: self.force_of(hold, why),
        };
        let list = self.past.entry(name.clone()).or_default();
        while list.len() >= kept {
            list.remove(0);
        }
        list.push(past);
    }
}
