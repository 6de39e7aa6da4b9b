//! Histories by hand for the judges' own tests, and what several judges derive from one.

use std::collections::BTreeMap;

use crate::cluster::history::{Answer, Ask, History, Nanos, Op};
use crate::cluster::target::{Mode, Target};

const NANOS_PER_MS: u64 = 1_000_000;

/// A grant of one name and what is certain about how long it lasted. A hold that is converted goes on as another one.
pub struct Hold<'a> {
    /// The acquire or the conversion.
    pub grant: &'a Op,
    pub token: u64,
    pub mode: Mode,
    /// When its first release was sent, whatever became of it.
    pub release: Option<Nanos>,
    /// What has given it another mode and another token, or may have.
    pub conversion: Option<&'a Op>,
    /// Until here its lease cannot have ended: each lease counts from a moment after its request was sent.
    pub leased_until: Nanos,
    /// When its lease may have been over for a moment, before a renewal that still found it: from when, until when.
    pub lapses: Vec<(Nanos, Nanos)>,
}

impl Hold<'_> {
    /// Until here it was certainly held, in this mode and with this token.
    pub fn certain_until(&self) -> Nanos {
        self.conversion.map_or(self.held_until(), |conversion| conversion.call.min(self.held_until()))
    }

    fn held_until(&self) -> Nanos {
        self.release.map_or(self.leased_until, |release| release.min(self.leased_until))
    }

    /// From when until when somebody held the lock, and how: while a hold is converted, at least shared.
    pub fn spells(&self) -> impl Iterator<Item = (Nanos, Nanos, Mode)> {
        let conversion = |op: &Op| (op.call.max(self.grant.end), op.end.min(self.held_until()), Mode::Shared);
        let spells = [(self.grant.end, self.certain_until(), self.mode)];
        spells.into_iter().chain(self.conversion.map(conversion)).filter(|(from, until, _)| from < until)
    }

    /// Whether this operation may have come while the lease was over.
    pub fn may_have_lapsed_for(&self, op: &Op) -> bool {
        self.lapses.iter().any(|(from, until)| op.call < *until && *from < op.end)
    }
}

/// The holds of every name, in the order of their tokens; a hold of several names under each.
pub fn holds(history: &History) -> BTreeMap<&str, Vec<Hold<'_>>> {
    let mut by_name: BTreeMap<&str, BTreeMap<u64, Hold<'_>>> = BTreeMap::new();
    for op in &history.ops {
        let (Some(token), Ask::Acquire { lease_ms, .. }) = (op.granted(), &op.ask) else { continue };
        for (name, mode) in op.target.places() {
            let leased_until = after_ms(op.call, *lease_ms);
            let (release, conversion, lapses) = (None, None, Vec::new());
            let hold = Hold { grant: op, token, mode, release, conversion, leased_until, lapses };
            by_name.entry(name).or_default().insert(token, hold);
        }
    }
    let mut ops: Vec<&Op> = history.ops.iter().collect();
    ops.sort_by_key(|op| op.call);
    for op in ops {
        let (Ask::Release { token } | Ask::Renew { token, .. } | Ask::Convert { token, .. }) = &op.ask else {
            continue;
        };
        for (name, _) in op.target.places() {
            let Some(of_name) = by_name.get_mut(name) else { continue };
            let Some(hold) = of_name.get_mut(token) else { continue };
            let converted = note(hold, op);
            of_name.extend(converted.map(|hold| (hold.token, hold)));
        }
    }
    by_name.into_iter().map(|(name, holds)| (name, holds.into_values().collect())).collect()
}

/// Notes what this operation did to the hold; as what it goes on, if it was converted.
fn note<'a>(hold: &mut Hold<'a>, op: &'a Op) -> Option<Hold<'a>> {
    match (&op.ask, &op.answer) {
        (Ask::Release { .. }, _) => hold.release = Some(hold.release.map_or(op.call, |before| before.min(op.call))),
        (Ask::Renew { lease_ms, .. }, Answer::Renewed) => {
            if op.end > hold.leased_until {
                hold.lapses.push((hold.leased_until, op.end));
            }
            hold.leased_until = hold.leased_until.max(after_ms(op.call, *lease_ms));
        }
        (Ask::Convert { .. }, Answer::Unknown(_)) => hold.conversion = Some(op),
        (Ask::Convert { to, .. }, Answer::Converted { token }) => {
            hold.conversion = Some(op);
            let (leased_until, lapses) = (hold.leased_until, hold.lapses.clone());
            let (release, conversion) = (None, None);
            return Some(Hold { grant: op, token: *token, mode: *to, release, conversion, leased_until, lapses });
        }
        _ => {}
    }
    None
}

fn after_ms(from: Nanos, ms: u64) -> Nanos {
    from.saturating_add(ms.saturating_mul(NANOS_PER_MS))
}

/// How a complaint names an operation.
pub fn show(op: &Op) -> String {
    let ms = |at: Nanos| at / NANOS_PER_MS;
    let places: Vec<String> = op.target.places().map(|(name, mode)| format!("{name} {mode:?}")).collect();
    format!(
        "#{} by client {} at node {} on {} ({}..{} ms): {:?} -> {:?}",
        op.id,
        op.client,
        op.node,
        places.join(", "),
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
    pub fn op(mut self, target: impl Into<Target>, ask: Ask, span: (u64, u64), answer: Answer) -> Self {
        let id = self.0.ops.len() as u64;
        let (call, end) = (span.0 * NANOS_PER_MS, span.1 * NANOS_PER_MS);
        let target = target.into();
        self.0.ops.push(Op { id, client: id, node: 1, target, ask, call, end, answer, lost_for: 0, asked_again: 0 });
        self
    }

    /// A grant with a lease of a day.
    pub fn grant(self, target: impl Into<Target>, span: (u64, u64), token: u64) -> Self {
        self.lease(target, span, token, 86_400_000)
    }

    /// A shared grant with a lease of a day.
    pub fn share(self, name: &str, span: (u64, u64), token: u64) -> Self {
        self.grant(Target::new(name, Mode::Shared), span, token)
    }

    pub fn lease(self, target: impl Into<Target>, span: (u64, u64), token: u64, lease_ms: u64) -> Self {
        let ask = Ask::Acquire { lease_ms, wait_ms: Some(1000), keyed: false };
        self.op(target, ask, span, Answer::Granted { token })
    }

    /// A hold with the first token has this mode now, and the second token.
    pub fn convert(self, name: &str, span: (u64, u64), tokens: (u64, u64), to: Mode) -> Self {
        let ask = Ask::Convert { token: tokens.0, to, wait_ms: None };
        self.op(name, ask, span, Answer::Converted { token: tokens.1 })
    }

    pub fn contended(self, target: impl Into<Target>, span: (u64, u64)) -> Self {
        self.op(target, Ask::Acquire { lease_ms: 1000, wait_ms: None, keyed: false }, span, Answer::Contended)
    }

    pub fn lost_acquire(self, target: impl Into<Target>, span: (u64, u64)) -> Self {
        let ask = Ask::Acquire { lease_ms: 86_400_000, wait_ms: None, keyed: false };
        self.op(target, ask, span, Answer::Unknown("cut".to_owned()))
    }

    pub fn release(self, target: impl Into<Target>, span: (u64, u64), token: u64) -> Self {
        self.op(target, Ask::Release { token }, span, Answer::Released)
    }

    pub fn lost_release(self, name: &str, span: (u64, u64), token: u64) -> Self {
        self.op(name, Ask::Release { token }, span, Answer::Unknown("cut".to_owned()))
    }

    pub fn read(self, name: &str, span: (u64, u64), token: Option<u64>) -> Self {
        self.op(name, Ask::Read, span, Answer::Seen { token, others: Vec::new(), waiters: 0 })
    }

    /// These tokens were seen, oldest first.
    pub fn see(self, name: &str, span: (u64, u64), tokens: &[u64]) -> Self {
        let (token, others) = (tokens.first().copied(), tokens.iter().skip(1).copied().collect());
        self.op(name, Ask::Read, span, Answer::Seen { token, others, waiters: 0 })
    }

    /// Somebody saw the last operation wait at this moment.
    pub fn seen_waiting(mut self, at: u64) -> Self {
        let op = self.0.ops.len() as u64 - 1;
        self.0.queued.push(crate::cluster::history::Queued { op, at: at * NANOS_PER_MS });
        self
    }
}
