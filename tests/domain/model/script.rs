//! Random scripts. There are few names, sessions, labels and keys, so that they collide often.

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
    Open { session: u8, idle_ms: u64, request: Option<(u8, u8)>, by: (u8, u8) },
    Close { session: u8 },
    Acquire(Wanted),
    Release { name: &'static str, session: Option<u8>, proof: Shown },
    Renew { name: &'static str, session: Option<u8>, proof: Shown, lease_ms: u64 },
    Cancel { name: &'static str, key: Key },
    Force { name: &'static str, key: Key },
    Confirm { name: &'static str, key: Key },
    CancelWait { name: &'static str, label: &'static str },
    Up { node: u8, restarted: bool, store: u8, level: u32 },
    Down { node: u8, belated: bool },
    Forget { node: u8 },
    Raise { level: u32 },
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
    /// Whether it is detached, and for how long.
    pub wait: Option<(bool, u64)>,
    pub priority: i32,
    pub metadata: Vec<(&'static str, &'static str)>,
    /// An idempotency key, and the digest of its request.
    pub request: Option<(u8, u8)>,
    /// Credential and address; 0 is none.
    pub by: (u8, u8),
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
    TakenBy(u8),
    /// The token of that label's hold, plus this much.
    Label(&'static str, Option<u64>),
}

/// Nodes are numbered from 1.
pub const NODES: u8 = 3;
pub const NAMES: [&str; 3] = ["a", "ab", "b"];
pub const SESSIONS: u8 = 5;
const LABELS: [&str; 2] = ["x", "y"];
const METADATA: [(&str, &str); 4] = [("k", "v"), ("k", "w"), ("long-key", "v"), ("j", "long-value")];

/// A script starts with a leadership.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![12 => batch().prop_map(Step::Batch), 1 => lead().prop_map(Step::Lead)];
    (lead(), vec(step, 1..60)).prop_map(|(first, steps)| std::iter::once(Step::Lead(first)).chain(steps).collect())
}

fn lead() -> impl Strategy<Value = Lead> {
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

fn node() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(1_u8), 2 => 1..=NODES]
}

fn level() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(1_u32), 4 => Just(2), 8 => Just(FEATURE_LEVEL)]
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

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.06)
}

fn asked() -> impl Strategy<Value = Asked> {
    let from = prop_oneof![30 => node(), 1 => Just(STRANGER)];
    (from, rarely(), rarely(), verb()).prop_map(|(from, belated, repeated, verb)| Asked {
        from,
        belated,
        repeated,
        verb,
    })
}

fn verb() -> impl Strategy<Value = Verb> {
    let session = || 0..SESSIONS;
    prop_oneof![
        3 => (session(), prop_oneof![3 => 1..40_u64, 2 => Just(u64::MAX)], request(), by())
            .prop_map(|(session, idle_ms, request, by)| Verb::Open { session, idle_ms, request, by }),
        1 => session().prop_map(|session| Verb::Close { session }),
        12 => wanted().prop_map(Verb::Acquire),
        4 => (name(), caller(), shown()).prop_map(|(name, session, proof)| Verb::Release { name, session, proof }),
        2 => (name(), caller(), shown(), milliseconds())
            .prop_map(|(name, session, proof, lease_ms)| Verb::Renew { name, session, proof, lease_ms }),
        2 => (name(), key()).prop_map(|(name, key)| Verb::Cancel { name, key }),
        1 => (name(), key()).prop_map(|(name, key)| Verb::Force { name, key }),
        2 => (name(), key()).prop_map(|(name, key)| Verb::Confirm { name, key }),
        1 => (name(), label()).prop_map(|(name, label)| Verb::CancelWait { name, label }),
        2 => up(),
        1 => (node(), rarely()).prop_map(|(node, belated)| Verb::Down { node, belated }),
        1 => prop_oneof![1 => node().prop_map(|node| Verb::Forget { node }), 3 => raise()],
    ]
}

/// Mostly with the same store.
fn up() -> impl Strategy<Value = Verb> {
    (node(), prop::bool::weighted(0.3), 0..12_u8, level()).prop_map(|(node, restarted, store, level)| Verb::Up {
        node,
        restarted,
        store: if store < 10 { node } else { store - 10 },
        level,
    })
}

fn raise() -> impl Strategy<Value = Verb> {
    prop_oneof![1 => 0..2_u32, 3 => Just(2), 1 => Just(3), 3 => Just(FEATURE_LEVEL)]
        .prop_map(|level| Verb::Raise { level })
}

/// Mostly around the steps of time, sometimes as long as orphans are kept.
fn milliseconds() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40_u64, 1 => ORPHAN_MS - 5..ORPHAN_MS + 5, 1 => 5 * ORPHAN_MS..7 * ORPHAN_MS]
}

/// Few keys, and mostly the same body under each.
fn request() -> impl Strategy<Value = Option<(u8, u8)>> {
    prop::option::weighted(0.5, (0..4_u8, prop_oneof![9 => Just(0_u8), 1 => Just(1)]))
}

fn by() -> impl Strategy<Value = (u8, u8)> {
    (0..3_u8, 0..3_u8)
}

fn label() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&LABELS[..])
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let owner = (caller(), prop::option::of(prop::sample::select(&LABELS[..])), any::<bool>());
    let size = (prop_oneof![5 => Just(1_u32), 3 => Just(2), 2 => Just(3), 1 => 0..5_u32], any::<bool>());
    let lease = prop::option::weighted(0.8, milliseconds());
    let wait = prop::option::weighted(0.6, (prop::bool::weighted(0.3), milliseconds()));
    let metadata = prop_oneof![6 => Just(Vec::new()), 1 => vec(prop::sample::select(&METADATA[..]), 0..4)];
    let key = prop::option::weighted(0.1, 0..3_u8);
    let rest = (priority(), metadata, request(), by());
    (name(), key, 0..4_u8, owner, size, lease, wait, rest).prop_map(
        |(name, key, dialect, owner, size, lease_ms, wait, (priority, metadata, request, by))| Wanted {
            name,
            key,
            dialect,
            session: owner.0,
            label: owner.1,
            reentrant: owner.2,
            size: size.0,
            remembers_size: size.1,
            lease_ms,
            wait,
            priority,
            metadata,
            request,
            by,
        },
    )
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![30 => prop::sample::select(&NAMES[..]), 1 => Just("too-long-a-name"), 1 => Just("n\0l")]
}

fn caller() -> impl Strategy<Value = Option<u8>> {
    prop::option::weighted(0.5, 0..SESSIONS)
}

fn priority() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(0), 1 => -1..2_i32]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => (0..3_u8).prop_map(Key::OfHold),
        4 => (0..5_u8).prop_map(Key::OfAcquire),
        1 => (0..3_u8).prop_map(Key::OneOfFew),
    ]
}

fn shown() -> impl Strategy<Value = Shown> {
    let label = (label(), prop::option::of(prop_oneof![4 => Just(0), 1 => Just(1)]));
    prop_oneof![
        6 => key().prop_map(Shown::Key),
        1 => (0..4_u8).prop_map(Shown::TakenBy),
        2 => label.prop_map(|(label, token)| Shown::Label(label, token)),
    ]
}
