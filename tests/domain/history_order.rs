//! Which ended holds are forgotten where the memory of the history is full, beside a naive list of all of them. Nodes of
//! different releases have to agree about it, so the bytes that each takes are written down here once more.

use super::kit::{Asking, Bench, RUN, ask, caller, key, limits, name, release, release_names, snapshot, start};
use super::model::for_all;
use latchd::domain::{Caller, Command, Force, LeaderStart, Limits, Table, Timestamp, Token};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

const NAMES: [&str; 5] = ["a", "bb", "a-name-of-some-length", "d", "ä"];
const STEP_BYTES: u64 = 4_096;
const DROPPED_AT_ONCE: usize = 64;

#[derive(Clone, Debug)]
enum Step {
    /// Takes places in the first so many of these names.
    Acquire {
        name: usize,
        names: usize,
        by: Caller,
        label: bool,
        metadata: bool,
    },
    /// Ends one of the holds that there are.
    End {
        nth: usize,
        reason: Option<&'static str>,
    },
    Pass {
        ms: u64,
    },
    Lead {
        per_lock: u64,
        bytes_max: u64,
    },
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    // Credential 3 comes from several addresses.
    let by = prop_oneof![2 => Just((1, 1)), 1 => Just((2, 1)), 3 => (Just(3), 1..4_u64), 2 => (Just(0), 1..3_u64)];
    let by = by.prop_map(|(credential, address)| caller(credential, address));
    let names = prop_oneof![5 => Just(1_usize), 1 => 2..4_usize];
    let acquire = (0..NAMES.len(), names, by, any::<bool>(), prop::bool::weighted(0.2));
    let reason = prop_oneof![3 => Just(None), 1 => Just(Some("because"))];
    let bytes_max = prop_oneof![3 => 2_000..30_000_u64, 1 => 1..1_000_u64, 1 => Just(0), 1 => Just(1 << 20)];
    prop_oneof![
        40 => acquire.prop_map(|(name, names, by, label, metadata)| Step::Acquire { name, names, by, label, metadata }),
        40 => (any::<usize>(), reason).prop_map(|(nth, reason)| Step::End { nth, reason }),
        6 => (0..3_u64).prop_map(|ms| Step::Pass { ms }),
        1 => (0..20_u64, bytes_max).prop_map(|(per_lock, bytes_max)| Step::Lead { per_lock, bytes_max }),
        1 => Just(Step::Restore),
    ]
}

/// A hold that goes on.
#[derive(Clone)]
struct Held {
    key: u64,
    token: Token,
    names: Vec<&'static str>,
    by: Caller,
    bytes_besides_name: u64,
}

struct Past {
    /// A credential, or an address without one.
    of: Caller,
    when: (Timestamp, Token),
    name: &'static str,
    bytes: u64,
}

/// All ended holds, in the order of their ends.
struct Naive {
    past: Vec<Past>,
    per_lock: u64,
    bytes_max: u64,
}

impl Naive {
    fn bytes(&self, counts: impl Fn(&Past) -> bool) -> u64 {
        self.past.iter().filter(|past| counts(past)).map(|past| past.bytes).sum()
    }

    fn lead(&mut self, per_lock: u64, bytes_max: u64) {
        (self.per_lock, self.bytes_max) = (per_lock, bytes_max);
        if per_lock == 0 || bytes_max == 0 {
            self.past.clear();
        }
    }

    fn ended(&mut self, hold: &Held, now: Timestamp, reason: Option<&str>) {
        if self.per_lock == 0 || self.bytes_max == 0 {
            return;
        }
        let of = if hold.by.credential == 0 { hold.by } else { Caller { address: 0, ..hold.by } };
        let of_reason = reason.map_or(0, |reason| 48 + 32 + "ops".len() as u64 + 32 + reason.len() as u64);
        for name in &hold.names {
            while self.past.iter().filter(|past| past.name == *name).count() as u64 >= self.per_lock {
                let oldest = self.past.iter().position(|past| past.name == *name).expect("there are some");
                self.past.remove(oldest);
            }
            let bytes = 288 + 32 + name.len() as u64 + hold.bytes_besides_name + of_reason;
            self.past.push(Past { of, when: (now, hold.token), name, bytes });
            for _ in 0..DROPPED_AT_ONCE {
                if self.bytes(|_| true) > self.bytes_max {
                    self.forget_one();
                }
            }
        }
    }

    /// Of whoever has most in whole steps, the one that ended first.
    fn forget_one(&mut self) {
        let most = self.past.iter().map(|past| (self.bytes(|other| other.of == past.of) / STEP_BYTES, past.of)).max();
        let Some((_, of)) = most else { return };
        let own = self.past.iter().enumerate().filter(|(_, past)| past.of == of);
        let next = own.min_by_key(|(_, past)| (past.when, past.name)).map(|(at, _)| at).expect("it has some");
        self.past.remove(next);
    }

    fn tokens(&self, name: &str) -> Vec<Token> {
        let newest_first = self.past.iter().rev().filter(|past| past.name == name);
        newest_first.map(|past| past.when.1).take(self.per_lock as usize).collect()
    }
}

struct Play {
    bench: Bench,
    naive: Naive,
    held: Vec<Held>,
    now: Timestamp,
    keys: u64,
}

impl Play {
    fn new() -> Play {
        let (per_lock, bytes_max) = (3, 20_000);
        let bench = Bench::with_limits(|limits| {
            (limits.history_per_lock, limits.history_bytes_max) = (per_lock, bytes_max);
            (limits.holds_max, limits.size_max) = (1_000, 1_000);
        });
        let naive = Naive { past: Vec::new(), per_lock, bytes_max };
        Play { bench, naive, held: Vec::new(), now: Timestamp(0), keys: 0 }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Acquire { name, names, by, label, metadata } => {
                let names = NAMES.iter().cycle().skip(*name).take(*names).copied().collect();
                self.acquire(names, *by, *label, *metadata);
            }
            Step::End { .. } if self.held.is_empty() => {}
            Step::End { nth, reason } => {
                let hold = self.held.remove(nth % self.held.len());
                self.end(&hold, *reason);
            }
            Step::Pass { ms } => {
                self.bench.pass_ms(*ms).tick();
                self.now = self.bench.table.now();
            }
            Step::Lead { per_lock, bytes_max } => {
                let before = *self.bench.table.limits();
                let limits = Limits { history_per_lock: *per_lock, history_bytes_max: *bytes_max, ..before };
                self.bench.lead(LeaderStart { limits, ..start(RUN) });
                self.naive.lead(*per_lock, *bytes_max);
            }
            Step::Restore => {
                self.bench.table = Table::restore(&mut snapshot(&self.bench.table).as_slice()).expect("it can be read");
            }
        }
    }

    fn acquire(&mut self, names: Vec<&'static str>, by: Caller, label: bool, metadata: bool) {
        self.keys += 1;
        let mut asked = ask(names[0], self.keys).size(1_000).by(by);
        let mut bytes_besides_name = 0;
        if names.len() > 1 {
            asked = asked.names(&names.iter().map(|name| (*name, 1_000)).collect::<Vec<_>>());
        }
        if label {
            asked = asked.label("worker");
            bytes_besides_name += 32 + "worker".len() as u64;
        }
        if metadata {
            asked = asked.metadata(&[("k", "val")]);
            bytes_besides_name += 400 + 96 + "kval".len() as u64;
        }
        let token = self.bench.acquired(asked).token;
        self.held.push(Held { key: self.keys, token, names, by, bytes_besides_name });
    }

    fn end(&mut self, hold: &Held, reason: Option<&str>) {
        let force = |reason| Some(Box::new(Force::new("ops", reason)));
        let command = match reason {
            Some(reason) => {
                Command::ForceRelease { name: name(hold.names[0]), key: key(hold.key), force: force(reason) }
            }
            None if hold.names.len() > 1 => release_names(&hold.names, hold.key),
            None => release(hold.names[0], hold.key),
        };
        self.bench.outcome(command);
        self.naive.ended(hold, self.now, reason);
    }

    fn compare(&self) -> TestCaseResult {
        for lock in NAMES {
            let tokens: Vec<Token> = self.bench.table.history(&name(lock)).map(|past| past.token).collect();
            prop_assert_eq!(tokens, self.naive.tokens(lock), "{}", lock);
        }
        let size = (self.naive.past.len(), self.naive.bytes(|_| true));
        prop_assert_eq!(self.bench.table.history_size(), size);
        Ok(())
    }
}

#[test]
fn full_history_forgets_what_a_naive_list_forgets() {
    for_all(vec(step(), 1..250), |steps| {
        let mut play = Play::new();
        for step in &steps {
            play.step(step);
            play.compare()?;
        }
        Ok(())
    });
}

/// Most of what a busy name leaves in the order of its caller is gone already.
#[test]
fn name_that_is_used_again_and_again_leaves_the_order_of_others() {
    let mut play = Play::new();
    play.naive.bytes_max = 1 << 20;
    play.bench.lead(LeaderStart {
        limits: Limits { history_per_lock: 3, history_bytes_max: 1 << 20, ..limits() },
        ..start(RUN)
    });
    let by = caller(1, 1);
    let cycle = |play: &mut Play, lock: &'static str| {
        play.acquire(vec![lock], by, false, false);
        let hold = play.held.pop().expect("it was acquired");
        play.end(&hold, None);
    };
    cycle(&mut play, "d");
    for _ in 0..1_000 {
        cycle(&mut play, "a");
    }
    play.compare().expect("equal");
    play.step(&Step::Lead { per_lock: 3, bytes_max: 1_000 });
    cycle(&mut play, "bb");
    play.compare().expect("equal");
    assert!(play.naive.tokens("d").is_empty(), "the oldest of all has gone first");
}
