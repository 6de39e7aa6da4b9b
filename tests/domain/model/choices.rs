//! Random commands for scripts.

use super::script::{
    Asked, Extras, Key, Mistake, NAMES, SESSIONS, STRANGER, Shown, TARGETS, Verb, Waiting, Wanted, level, node, rarely,
};
use latchd::domain::{FEATURE_LEVEL, ORPHAN_MS, SHARED};
use proptest::collection::vec;
use proptest::prelude::*;

const LABELS: [&str; 2] = ["x", "y"];
pub const METADATA: [(&str, &str); 4] = [("k", "v"), ("k", "w"), ("long-key", "v"), ("j", "long-value")];
const VALUES: [&str; 4] = ["", "v", "val", "too-long"];

pub fn asked() -> impl Strategy<Value = Asked> {
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
        1 => (session(), any::<bool>()).prop_map(|(session, forced)| Verb::Close { session, forced }),
        12 => wanted().prop_map(Verb::Acquire),
        4 => (name(), caller(), shown()).prop_map(|(name, session, proof)| Verb::Release { name, session, proof }),
        2 => (name(), caller(), shown(), milliseconds())
            .prop_map(|(name, session, proof, lease_ms)| Verb::Renew { name, session, proof, lease_ms }),
        2 => (name(), key()).prop_map(|(name, key)| Verb::Cancel { name, key }),
        1 => (name(), key()).prop_map(|(name, key)| Verb::Force { name, key }),
        2 => (name(), key()).prop_map(|(name, key)| Verb::Confirm { name, key }),
        1 => (name(), label()).prop_map(|(name, label)| Verb::CancelWait { name, label }),
        4 => node_of_cluster(),
        7 => change(),
        3 => freezing(),
    ]
}

pub fn node_of_cluster() -> impl Strategy<Value = Verb> {
    prop_oneof![
        2 => up(),
        1 => (node(), rarely()).prop_map(|(node, belated)| Verb::Down { node, belated }),
        1 => prop_oneof![1 => node().prop_map(|node| Verb::Forget { node }), 3 => raise()],
    ]
}

/// The verbs of level 11.
pub fn freezing() -> impl Strategy<Value = Verb> {
    let target = || prop::sample::select(&TARGETS[..]);
    let freeze = (target(), any::<bool>(), prop::bool::weighted(0.4), 0..55_u64);
    prop_oneof![
        3 => freeze.prop_map(|(target, is_prefix, breaks, for_ms)| Verb::Freeze { target, is_prefix, breaks, for_ms }),
        2 => target().prop_map(|target| Verb::Thaw { target }),
    ]
}

/// The verbs of level 7.
pub fn change() -> impl Strategy<Value = Verb> {
    let attempt = prop::option::weighted(0.1, 0..3_u8);
    let wait = prop::option::weighted(0.8, (waiting(), milliseconds()));
    prop_oneof![
        5 => (name(), caller(), key_of_hold(), attempt, wait, by())
            .prop_map(|(name, session, key, attempt, wait, by)| Verb::Upgrade { name, session, key, attempt, wait, by }),
        3 => (name(), caller(), key_of_hold()).prop_map(|(name, session, key)| Verb::Downgrade { name, session, key }),
        3 => (name(), caller(), key_of_hold(), 0..SESSIONS, prop::option::weighted(0.1, 0..3_u8))
            .prop_map(|(name, session, key, to, new_key)| Verb::Transfer { name, session, key, to, new_key }),
        2 => (name(), 0..5_u32).prop_map(|(name, size)| Verb::Resize { name, size }),
        2 => (name(), caller(), key_of_hold(), value())
            .prop_map(|(name, session, key, value)| Verb::SetValue { name, session, key, value }),
        2 => (name(), -4..2_i64, by()).prop_map(|(resource, token, by)| Verb::Mark { resource, token, by }),
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
    let levels = prop_oneof![1 => 0..2_u32, 3 => Just(2), 1 => Just(3), 1 => Just(7), 5 => Just(FEATURE_LEVEL)];
    (levels, prop::option::weighted(0.9, rarely())).prop_map(|(level, limits)| Verb::Raise { level, limits })
}

/// Mostly around the steps of time, sometimes as long as orphans are kept.
fn milliseconds() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40_u64, 1 => ORPHAN_MS - 5..ORPHAN_MS + 5, 1 => 5 * ORPHAN_MS..7 * ORPHAN_MS]
}

/// Few keys, and mostly the same body under each.
pub fn request() -> impl Strategy<Value = Option<(u8, u8)>> {
    prop::option::weighted(0.5, (0..4_u8, prop_oneof![9 => Just(0_u8), 1 => Just(1)]))
}

pub fn by() -> impl Strategy<Value = (u8, u8)> {
    (0..3_u8, 0..3_u8)
}

pub fn label() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&LABELS[..])
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let owner = (caller(), prop::option::of(prop::sample::select(&LABELS[..])), any::<bool>());
    let size = (size(), any::<bool>());
    let lease = prop::option::weighted(0.8, milliseconds());
    let wait = prop::option::weighted(0.7, (waiting(), milliseconds()));
    let metadata = prop_oneof![6 => Just(Vec::new()), 1 => vec(prop::sample::select(&METADATA[..]), 0..4)];
    let key = prop::option::weighted(0.1, 0..3_u8);
    let rest = (priority(), metadata, request(), by(), prop::option::weighted(0.5, extras()));
    (name(), key, dialect(), owner, size, lease, wait, rest).prop_map(
        |(name, key, dialect, owner, size, lease_ms, wait, (priority, metadata, request, by, extras))| Wanted {
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
            extras,
            priority,
            metadata,
            request,
            by,
        },
    )
}

/// Some of those of level 1, and those of level 8.
fn dialect() -> impl Strategy<Value = u8> {
    prop_oneof![8 => 0..4_u8, 1 => 8..10_u8]
}

fn size() -> impl Strategy<Value = u32> {
    prop_oneof![5 => Just(1_u32), 5 => Just(SHARED), 3 => Just(2), 2 => Just(3), 1 => 0..5_u32]
}

pub fn waiting() -> impl Strategy<Value = Waiting> {
    prop_oneof![3 => Just(Waiting::Attached), 3 => Just(Waiting::Detached), 5 => Just(Waiting::Guarded)]
}

/// Mostly other names than the first one, in any order; or a weight, a delay or a value.
fn extras() -> impl Strategy<Value = Extras> {
    let others = prop::option::weighted(0.6, vec((name(), size()), 0..3));
    let weight = prop_oneof![6 => Just(1_u32), 3 => Just(2), 1 => 0..4_u32];
    let lock_delay_ms = prop_oneof![3 => Just(0_u64), 3 => 1..25_u64, 1 => 55..65_u64];
    (others, weight, lock_delay_ms, prop::option::weighted(0.15, value()))
        .prop_map(|(others, weight, lock_delay_ms, value)| Extras { others, weight, lock_delay_ms, value })
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&VALUES[..])
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![30 => prop::sample::select(&NAMES[..]), 1 => Just("too-long-a-name"), 1 => Just("n\0l")]
}

fn caller() -> impl Strategy<Value = Option<u8>> {
    prop::option::weighted(0.5, 0..SESSIONS)
}

fn priority() -> impl Strategy<Value = i32> {
    prop_oneof![16 => Just(0), 4 => -1..2_i32, 1 => Just(i32::MAX)]
}

pub fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        4 => (0..3_u8).prop_map(Key::OfHold),
        4 => (0..5_u8).prop_map(Key::OfAcquire),
        1 => (0..3_u8).prop_map(Key::OneOfFew),
    ]
}

/// Mostly of a hold that there is.
pub fn key_of_hold() -> impl Strategy<Value = Key> {
    prop_oneof![8 => (0..3_u8).prop_map(Key::OfHold), 1 => key()]
}

pub fn shown() -> impl Strategy<Value = Shown> {
    let label = (label(), prop::option::of(prop_oneof![4 => Just(0), 1 => Just(1)]));
    prop_oneof![
        6 => key().prop_map(Shown::Key),
        4 => (key_of_hold(), mistake()).prop_map(|(key, mistake)| Shown::OfNames(key, mistake)),
        1 => dialect().prop_map(Shown::TakenBy),
        2 => label.prop_map(|(label, token)| Shown::Label(label, token)),
    ]
}

fn mistake() -> impl Strategy<Value = Mistake> {
    prop_oneof![6 => Just(Mistake::None), 1 => Just(Mistake::Missing), 1 => Just(Mistake::Twice)]
}
