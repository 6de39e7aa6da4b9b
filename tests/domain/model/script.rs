//! Random scripts. There are few names, sessions, labels and keys, so that they collide often.

use super::busy::busy_steps;
use super::choices::asked;
use latchd::domain::{FEATURE_LEVEL, IDEMPOTENCY_KEY_KEPT_MS, ORPHAN_MS};
use proptest::collection::vec;
use proptest::prelude::*;

/// One future log entry.
#[derive(Clone, Debug)]
pub enum Step {
    Lead(Lead),
    Batch(Batch),
}

/// Starts a leadership.
#[derive(Clone, Debug)]
pub struct Lead {
    /// Milliseconds since the last entry; negative for a timestamp that lags.
    pub pass_ms: i64,
    pub node: u8,
    /// Its process was restarted.
    pub restarted: bool,
    /// The feature level that it supports.
    pub level: u32,
    pub confirm: bool,
    /// Whether it has the tighter limits.
    pub tight: bool,
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub pass_ms: i64,
    /// With the epoch before the present one.
    pub stale: bool,
    pub touches: Vec<u8>,
    pub more_touches: bool,
    pub commands: Vec<Asked>,
}

/// A command and its sender.
#[derive(Clone, Debug)]
pub struct Asked {
    /// A node, or [`STRANGER`].
    pub from: u8,
    /// Of the incarnation before the present one.
    pub belated: bool,
    /// With the id of the command before.
    pub repeated: bool,
    pub verb: Verb,
}

pub const STRANGER: u8 = 9;

#[derive(Clone, Debug)]
pub enum Verb {
    Open {
        session: u8,
        idle_ms: u64,
        request: Option<(u8, u8)>,
        by: (u8, u8),
    },
    Close {
        session: u8,
        /// By an operator.
        forced: bool,
    },
    Acquire(Wanted),
    Release {
        name: &'static str,
        session: Option<u8>,
        proof: Shown,
    },
    Renew {
        name: &'static str,
        session: Option<u8>,
        proof: Shown,
        lease_ms: u64,
    },
    Cancel {
        name: &'static str,
        key: Key,
    },
    Force {
        name: &'static str,
        key: Key,
    },
    Confirm {
        name: &'static str,
        key: Key,
    },
    CancelWait {
        name: &'static str,
        label: &'static str,
    },
    Up {
        node: u8,
        restarted: bool,
        store: u8,
        level: u32,
    },
    Down {
        node: u8,
        belated: bool,
    },
    Forget {
        node: u8,
    },
    /// Perhaps with limits, of which the tight ones are less.
    Raise {
        level: u32,
        limits: Option<bool>,
    },
    Upgrade {
        name: &'static str,
        session: Option<u8>,
        key: Key,
        attempt: Option<u8>,
        wait: Option<(Waiting, u64)>,
        by: (u8, u8),
    },
    Downgrade {
        name: &'static str,
        session: Option<u8>,
        key: Key,
    },
    Transfer {
        name: &'static str,
        session: Option<u8>,
        key: Key,
        to: u8,
        new_key: Option<u8>,
    },
    Resize {
        name: &'static str,
        size: u32,
    },
    SetValue {
        name: &'static str,
        session: Option<u8>,
        key: Key,
        value: &'static str,
    },
    Freeze {
        target: &'static str,
        is_prefix: bool,
        breaks: bool,
        for_ms: u64,
    },
    Thaw {
        target: &'static str,
    },
    /// A token so much before the last one, or after it.
    Mark {
        resource: &'static str,
        token: i64,
        by: (u8, u8),
    },
}

#[derive(Clone, Copy, Debug)]
pub enum Waiting {
    Attached,
    Detached,
    Guarded,
}

#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: &'static str,
    /// One of a few keys instead of a new one.
    pub key: Option<u8>,
    pub dialect: u8,
    pub session: Option<u8>,
    pub label: Option<&'static str>,
    pub reentrant: bool,
    pub size: u32,
    pub remembers_size: bool,
    pub lease_ms: Option<u64>,
    pub wait: Option<(Waiting, u64)>,
    pub extras: Option<Extras>,
    pub priority: i32,
    pub metadata: Vec<(&'static str, &'static str)>,
    /// An idempotency key, and the digest of its request.
    pub request: Option<(u8, u8)>,
    /// Credential and address; 0 is none.
    pub by: (u8, u8),
}

/// What level 7 adds to an acquire.
#[derive(Clone, Debug)]
pub struct Extras {
    /// The names after the first one, each with its size.
    pub others: Option<Vec<(&'static str, u32)>>,
    pub weight: u32,
    pub lock_delay_ms: u64,
    pub value: Option<&'static str>,
}

/// A key, described by where it comes from.
#[derive(Clone, Debug)]
pub enum Key {
    /// The key of a hold of that lock.
    OfHold(u8),
    /// The key of one of the last acquires of that lock.
    OfAcquire(u8),
    OneOfFew(u8),
}

#[derive(Clone, Debug)]
pub enum Shown {
    Key(Key),
    /// With all names of the hold, or with a mistake.
    OfNames(Key, Mistake),
    TakenBy(u8),
    /// The token of that label's hold, plus this much.
    Label(&'static str, Option<u64>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mistake {
    None,
    /// The last name is missing.
    Missing,
    /// The first name stands for the last one, too.
    Twice,
}

/// Nodes are numbered from 1.
pub const NODES: u8 = 3;
pub const NAMES: [&str; 3] = ["a", "ab", "b"];
pub const TARGETS: [&str; 5] = ["", "a", "ab", "b", "c"];
pub const SESSIONS: u8 = 5;

/// A script starts with a leadership.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![wild_steps(), busy_steps()]
}

/// Whatever can be said, most of which is refused.
fn wild_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![12 => batch().prop_map(Step::Batch), 1 => lead().prop_map(Step::Lead)];
    (lead(), vec(step, 1..60)).prop_map(|(first, steps)| std::iter::once(Step::Lead(first)).chain(steps).collect())
}

pub fn lead() -> impl Strategy<Value = Lead> {
    let flags = (prop::bool::weighted(0.4), prop::bool::weighted(0.6), prop::bool::weighted(0.3));
    (pass_ms(), node(), level(), flags).prop_map(|(pass_ms, node, level, (restarted, confirm, tight))| Lead {
        pass_ms,
        node,
        restarted,
        level,
        confirm,
        tight,
    })
}

pub fn node() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(1_u8), 2 => 1..=NODES]
}

pub fn level() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(1_u32), 4 => Just(2), 2 => Just(7), 8 => Just(FEATURE_LEVEL)]
}

fn batch() -> impl Strategy<Value = Batch> {
    let touches = vec(0..SESSIONS, 0..3);
    (pass_ms(), rarely(), touches, rarely(), vec(asked(), 0..5)).prop_map(
        |(pass_ms, stale, touches, more_touches, commands)| Batch { pass_ms, stale, touches, more_touches, commands },
    )
}

/// Mostly small steps, so that only now and then several things are due between two entries.
fn pass_ms() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => Just(0),
        36 => 1..4_i64,
        12 => 4..20_i64,
        6 => 20..100_i64,
        6 => -5..0_i64,
        2 => ORPHAN_MS as i64 - 5..ORPHAN_MS as i64 + 5,
        1 => IDEMPOTENCY_KEY_KEPT_MS as i64 - 5..IDEMPOTENCY_KEY_KEPT_MS as i64 + 5,
    ]
}

pub fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.06)
}
