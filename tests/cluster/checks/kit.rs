//! Histories by hand for the judges' own tests, and what several judges derive from one.

use std::collections::BTreeMap;

use crate::cluster::history::{Answer, Ask, History, Nanos, Op};

const NANOS_PER_MS: u64 = 1_000_000;

/// A grant and what is certain about how long it lasted.
pub struct Hold<'a> {
    pub grant: &'a Op,
    pub token: u64,
    /// When its first release was sent, whatever became of it.
    pub release: Option<Nanos>,
    /// Until here its lease cannot have ended: each lease counts from a moment after its request was sent.
    pub leased_until: Nanos,
    /// When its lease may have been over for a moment, before a renewal that still found it: from when, until when.
    pub lapses: Vec<(Nanos, Nanos)>,
}

impl Hold<'_> {
    /// Until here it was certainly held.
    pub fn certain_until(&self) -> Nanos {
        self.release.map_or(self.leased_until, |release| release.min(self.leased_until))
    }

    /// Whether this operation may have come while the lease was over.
    pub fn may_have_lapsed_for(&self, op: &Op) -> bool {
        self.lapses.iter().any(|(from, until)| op.call < *until && *from < op.end)
    }
}

/// The holds of every name, in the order of their tokens.
pub fn holds(history: &History) -> BTreeMap<&str, Vec<Hold<'_>>> {
    let mut by_name: BTreeMap<&str, BTreeMap<u64, Hold<'_>>> = BTreeMap::new();
    for op in &history.ops {
        if let (Some(token), Ask::Acquire { lease_ms, .. }) = (op.granted(), &op.ask) {
            let hold = Hold {
                grant: op,
                token,
                release: None,
                leased_until: after_ms(op.call, *lease_ms),
                lapses: Vec::new(),
            };
            by_name.entry(&op.name).or_default().insert(token, hold);
        }
    }
    let mut ops: Vec<&Op> = history.ops.iter().collect();
    ops.sort_by_key(|op| op.call);
    for op in ops {
        let (Ask::Release { token } | Ask::Renew { token, .. }) = &op.ask else { continue };
        let Some(hold) = by_name.get_mut(op.name.as_str()).and_then(|holds| holds.get_mut(token)) else { continue };
        match (&op.ask, &op.answer) {
            (Ask::Release { .. }, _) => hold.release = Some(hold.release.map_or(op.call, |before| before.min(op.call))),
            (Ask::Renew { lease_ms, .. }, Answer::Renewed) => {
                if op.end > hold.leased_until {
                    hold.lapses.push((hold.leased_until, op.end));
                }
                hold.leased_until = hold.leased_until.max(after_ms(op.call, *lease_ms));
            }
            _ => {}
        }
    }
    by_name.into_iter().map(|(name, holds)| (name, holds.into_values().collect())).collect()
}

fn after_ms(from: Nanos, ms: u64) -> Nanos {
    from.saturating_add(ms.saturating_mul(NANOS_PER_MS))
}

/// How a complaint names an operation.
pub fn show(op: &Op) -> String {
    let ms = |at: Nanos| at / NANOS_PER_MS;
    format!(
        "#{} by client {} at node {} on {} ({}..{} ms): {:?} -> {:?}",
        op.id,
        op.client,
        op.node,
        op.name,
        ms(op.call),
        ms(op.end),
        op.ask,
        op.answer
    )
}

/// Writes histories by hand: times are milliseconds.
#[cfg(test)]
#[derive(Default)]
pub struct Script(pub History);

#[cfg(test)]
impl Script {
    pub fn op(mut self, name: &str, ask: Ask, span: (u64, u64), answer: Answer) -> Self {
        let id = self.0.ops.len() as u64;
        let (call, end) = (span.0 * NANOS_PER_MS, span.1 * NANOS_PER_MS);
        let name = name.to_owned();
        self.0.ops.push(Op { id, client: id, node: 1, name, ask, call, end, answer, lost_for: 0, asked_again: 0 });
        self
    }

    /// A grant with a lease of a day.
    pub fn grant(self, name: &str, span: (u64, u64), token: u64) -> Self {
        self.lease(name, span, token, 86_400_000)
    }

    pub fn lease(self, name: &str, span: (u64, u64), token: u64, lease_ms: u64) -> Self {
        let ask = Ask::Acquire { lease_ms, wait_ms: Some(1000), keyed: false };
        self.op(name, ask, span, Answer::Granted { token })
    }

    pub fn contended(self, name: &str, span: (u64, u64)) -> Self {
        self.op(name, Ask::Acquire { lease_ms: 1000, wait_ms: None, keyed: false }, span, Answer::Contended)
    }

    pub fn lost_acquire(self, name: &str, span: (u64, u64)) -> Self {
        let ask = Ask::Acquire { lease_ms: 86_400_000, wait_ms: None, keyed: false };
        self.op(name, ask, span, Answer::Unknown("cut".to_owned()))
    }

    pub fn release(self, name: &str, span: (u64, u64), token: u64) -> Self {
        self.op(name, Ask::Release { token }, span, Answer::Released)
    }

    pub fn lost_release(self, name: &str, span: (u64, u64), token: u64) -> Self {
        self.op(name, Ask::Release { token }, span, Answer::Unknown("cut".to_owned()))
    }

    pub fn read(self, name: &str, span: (u64, u64), token: Option<u64>) -> Self {
        self.op(name, Ask::Read, span, Answer::Seen { token, waiters: 0 })
    }

    /// Somebody saw the last operation wait at this moment.
    pub fn seen_waiting(mut self, at: u64) -> Self {
        let op = self.0.ops.len() as u64 - 1;
        self.0.queued.push(crate::cluster::history::Queued { op, at: at * NANOS_PER_MS });
        self
    }
}
