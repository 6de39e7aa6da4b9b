//! What clients of real and of simulated clusters have in common: what they ask for, how long they go on, and what they
//! note of requests that were lost and made again.

use std::time::Duration;

use super::history::{Answer, Nanos, Op};

/// How long a request without a wait may take before the client gives it up.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long a client goes on with one thing before it takes its end as unknown.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(40);
/// Between two tries.
pub const PAUSE: Duration = Duration::from_millis(50);

/// How to ask for a lock.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub lease_ms: u64,
    pub wait_ms: Option<u64>,
    /// With an idempotency key, and so again and again until there is an answer.
    pub keyed: bool,
    /// How long one of these requests may take; the next one goes to another node.
    pub patience: Duration,
}

/// The requests of one operation.
pub struct Tries {
    pub call: Nanos,
    /// Of the last one, where there was more than one.
    last_call: Option<Nanos>,
    is_first: bool,
    /// When the first of them was seen lost: it may have been carried out.
    pub lost: Option<Nanos>,
    /// When the first of them was seen lost or refused.
    pub failed: Option<Nanos>,
}

impl Tries {
    pub fn new(call: Nanos) -> Self {
        Self { call, last_call: None, is_first: true, lost: None, failed: None }
    }

    pub fn begin(&mut self, at: Nanos) {
        // Not the time of the first: by a real clock it is later than the beginning, and would look like a second request.
        self.last_call = (!std::mem::take(&mut self.is_first)).then_some(at);
    }

    pub fn end(&mut self, at: Nanos, answer: &Answer) {
        if matches!(answer, Answer::Unknown(_)) {
            self.lost.get_or_insert(at);
        }
        if matches!(answer, Answer::Unknown(_) | Answer::Refused(_)) {
            self.failed.get_or_insert(at);
        }
    }

    /// Whether it is time to give up.
    pub fn are_over(&self, now: Nanos) -> bool {
        Duration::from_nanos(now.saturating_sub(self.call)) > GIVE_UP_AFTER
    }

    /// What to note of an acquire. A request that was lost may be carried out later even where a later one with the same
    /// key was refused, so it is then an operation of its own, numbered by `number`.
    pub fn acquired(&self, op: Op, answer: Answer, number: impl FnOnce() -> u64) -> Vec<Op> {
        let last_call = self.last_call.unwrap_or(self.call);
        let lost_for = self.failed.map_or(0, |failed| last_call.saturating_sub(failed));
        let asked_again = self.last_call.unwrap_or(0);
        let op = Op { lost_for, asked_again, ..op };
        match answer {
            Answer::Contended | Answer::Refused(_) if self.lost.is_some() => {
                let why = Answer::Unknown("lost, and asked again in vain".to_owned());
                vec![Op { id: number(), answer: why, ..op.clone() }, Op { call: last_call, answer, ..op }]
            }
            answer => vec![Op { answer, ..op }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::history::Ask;

    #[test]
    fn only_second_request_counts_as_asked_again() {
        let noted = |tries: &Tries| {
            let (ask, answer) = (Ask::Acquire { lease_ms: 5, wait_ms: None, keyed: true }, Answer::Contended);
            let target = "a".into();
            let op =
                Op { id: 0, client: 0, node: 0, target, ask, call: 10, end: 90, answer, lost_for: 0, asked_again: 0 };
            let ops = tries.acquired(op, Answer::Granted { token: 1 }, || 1);
            (ops[0].asked_again, ops[0].lost_for)
        };
        let mut tries = Tries::new(10);
        tries.begin(11);
        assert_eq!(noted(&tries), (0, 0));
        tries.end(20, &Answer::Unknown("cut".to_owned()));
        tries.begin(35);
        assert_eq!(noted(&tries), (35, 15));
    }
}
