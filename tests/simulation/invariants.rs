//! What must be so in the table of every node after each step: holders of a lock go together, a hold of several names is in
//! all of them or in none, tokens rise, and what has ended is remembered as ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use latchd::domain::view::{HoldView, LockView};
use latchd::domain::{Name, SHARED, Token};
use latchd::engine::{Consistency, Engine};

use super::node::Node;
use crate::cluster::target::{Mode, Target};

/// A hold with a shorter lease may be over by the clock of a node that lags, and be shown after its renewal.
const LONG_LEASE: Duration = Duration::from_secs(3600);

/// All names that clients have asked for.
#[derive(Clone, Default)]
pub struct AskedNames(Arc<Mutex<BTreeSet<Name>>>);

#[derive(Default)]
pub struct Invariants {
    pub names: AskedNames,
    seen: BTreeMap<u64, Seen>,
    /// Each once, with where it was seen.
    complaints: BTreeMap<String, String>,
}

/// What one process has shown.
#[derive(Default)]
struct Seen {
    /// Up to where it had applied the log.
    index: u64,
    /// All tokens, and the highest.
    tokens: BTreeSet<u64>,
    highest: u64,
    /// The modes that locks had when these tokens were their newest.
    modes: BTreeMap<(Name, u64), Mode>,
}

impl AskedNames {
    pub fn add(&self, target: &Target) {
        let mut names = self.0.lock().expect("no panic while locked");
        names.extend(target.places().map(|(name, _)| Name::from(name)));
    }
}

impl Invariants {
    /// The process has ended; the next one begins with what was on its disk.
    pub fn forget(&mut self, node: u64) {
        self.seen.remove(&node);
    }

    pub fn look(&mut self, node: &Node) {
        let Some(engine) = node.engine().filter(|_| !node.paused) else { return };
        let _inside = node.enter();
        let seen = self.seen.entry(node.id).or_default();
        let index = engine.overview().log.applied_index;
        if seen.index == index {
            return;
        }
        seen.index = index;
        let names = self.names.0.lock().expect("no panic while locked");
        let locks: Vec<LockView> = names.iter().filter_map(|name| engine.local_lock(name)).collect();
        drop(names);
        let wrong = locks.iter().flat_map(|lock| {
            seen.exclusion(lock).into_iter().chain(wholeness(engine, lock)).chain(ended(engine, lock))
        });
        let wrong: Vec<String> = wrong.collect();
        for what in wrong.into_iter().chain(seen.rise(&locks)) {
            self.complaints.entry(what).or_insert_with(|| format!("first at node {}, entry {index}", node.id));
        }
    }

    pub fn complaints(&mut self) -> Vec<String> {
        let complaints = std::mem::take(&mut self.complaints);
        complaints.into_iter().map(|(what, at)| format!("{what}, {at}")).collect()
    }
}

impl Seen {
    fn exclusion(&mut self, lock: &LockView) -> Option<String> {
        let newest = lock.holds.iter().map(|hold| hold.token.0).max();
        let mode_of = |hold: &HoldView| {
            let (key, now) = ((lock.name.clone(), hold.token.0), mode(lock.size, hold));
            if newest == Some(hold.token.0) {
                return *self.modes.entry(key).or_insert(now);
            }
            self.modes.get(&key).copied().unwrap_or(now)
        };
        let modes: Vec<Mode> = lock.holds.iter().map(mode_of).collect();
        (!Mode::go_together(modes.iter().copied())).then(|| format!("{} has holders {modes:?}", lock.name))
    }

    /// New holds have tokens above all that were there before.
    fn rise(&mut self, locks: &[LockView]) -> Vec<String> {
        let before = self.highest;
        let mut wrong = Vec::new();
        for (lock, hold) in locks.iter().flat_map(|lock| lock.holds.iter().map(move |hold| (lock, hold))) {
            self.highest = self.highest.max(hold.token.0);
            let is_long = hold.deadline.is_some_and(|deadline| deadline.since(hold.since) >= LONG_LEASE);
            if self.tokens.insert(hold.token.0) && is_long && hold.token.0 <= before {
                wrong.push(format!("{} is granted with token {}, after {before}", lock.name, hold.token.0));
            }
        }
        wrong
    }
}

fn mode(size: u32, hold: &HoldView) -> Mode {
    match (size, hold.terms.as_ref().map_or(1, |terms| terms.weight)) {
        (SHARED, _) => Mode::Shared,
        (1, _) => Mode::Exclusive,
        (size, weight) => Mode::Counted { size, weight },
    }
}

/// A hold has not both ended and not, and of two ends the later one is told first. Whether the nodes remember the same, they
/// find out by their digests.
fn ended(engine: &Engine, lock: &LockView) -> Vec<String> {
    let read = engine.with_consistency(Consistency::Stale);
    let Some(Ok(past)) = read.history(&lock.name, usize::MAX).now_or_never() else { return Vec::new() };
    let live: BTreeSet<Token> = lock.holds.iter().map(|hold| hold.token).collect();
    let both = past.iter().filter(|past| live.contains(&past.token));
    let both = both.map(|past| format!("token {} holds {}, and has ended", past.token.0, lock.name));
    let is_disordered = !past.iter().rev().map(|past| past.ended).is_sorted();
    let disordered = is_disordered.then(|| format!("the history of {} is not in order", lock.name));
    both.chain(disordered).collect()
}

/// A hold of several names has the same token and key in each.
fn wholeness(engine: &Engine, lock: &LockView) -> Vec<String> {
    let mut wrong = Vec::new();
    for hold in &lock.holds {
        for (name, _) in hold.terms.iter().flat_map(|terms| &terms.names) {
            let part = engine
                .local_lock(name)
                .is_some_and(|lock| lock.holds.iter().any(|part| (part.token, part.key) == (hold.token, hold.key)));
            if !part {
                wrong.push(format!("token {} holds {} and not {name}", hold.token.0, lock.name));
            }
        }
    }
    wrong
}
