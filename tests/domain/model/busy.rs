//! Scripts in which most commands succeed or wait: few sessions compete for few locks, in all ways that level 7 knows.

use super::choices::{METADATA, by, change, freezing, key_of_hold, label, node_of_cluster, request, shown, waiting};
use super::script::{Asked, Batch, Extras, Lead, Mistake, NAMES, SESSIONS, Shown, Step, Verb, Wanted, lead, rarely};
use latchd::domain::{FEATURE_LEVEL, ORPHAN_MS, SHARED};
use proptest::collection::vec;
use proptest::prelude::*;

/// Sessions that are open from the beginning.
const OPEN: u8 = SESSIONS - 1;

/// Two nodes and most sessions are there before anything else happens.
pub fn busy_steps() -> impl Strategy<Value = Vec<Step>> {
    let first = (level(), any::<bool>()).prop_map(|(level, confirm)| Lead {
        pass_ms: 0,
        node: 1,
        restarted: false,
        level,
        confirm,
        tight: false,
    });
    let idle_ms = || prop_oneof![1 => 10..60_u64, 3 => Just(u64::MAX)];
    let opening = vec(idle_ms(), usize::from(OPEN)).prop_map(|idle| {
        let opened = idle.into_iter().zip(0_u8..);
        let opened = opened.map(|(idle_ms, session)| Verb::Open { session, idle_ms, request: None, by: (0, 0) });
        let node = Verb::Up { node: 2, restarted: false, store: 2, level: FEATURE_LEVEL };
        batch_of(0, opened.chain([node]).map(asked_by(1)).collect())
    });
    let step = prop_oneof![30 => batch().prop_map(Step::Batch), 1 => lead().prop_map(Step::Lead)];
    (first, opening, vec(step, 1..50)).prop_map(|(first, opening, steps)| {
        [Step::Lead(first), Step::Batch(opening)].into_iter().chain(steps).collect()
    })
}

/// A table below level 7 or 8 is raised now and then.
fn level() -> impl Strategy<Value = u32> {
    prop_oneof![1 => 6..FEATURE_LEVEL, 12 => Just(FEATURE_LEVEL)]
}

fn batch_of(pass_ms: i64, commands: Vec<Asked>) -> Batch {
    Batch { pass_ms, stale: false, touches: Vec::new(), more_touches: false, commands }
}

fn asked_by(from: u8) -> impl Fn(Verb) -> Asked {
    move |verb| Asked { from, belated: false, repeated: false, verb }
}

fn batch() -> impl Strategy<Value = Batch> {
    let pass_ms = prop_oneof![
        100 => Just(0_i64),
        80 => 1..4_i64,
        16 => 4..20_i64,
        1 => ORPHAN_MS as i64 - 5..ORPHAN_MS as i64 + 5,
    ];
    let from = prop_oneof![4 => Just(1_u8), 1 => Just(2)];
    let asked = (from, verb()).prop_map(|(from, verb)| asked_by(from)(verb));
    (pass_ms, rarely(), vec(0..OPEN, 0..2), vec(asked, 1..4)).prop_map(|(pass_ms, more_touches, touches, commands)| {
        Batch { touches, more_touches, ..batch_of(pass_ms, commands) }
    })
}

fn verb() -> impl Strategy<Value = Verb> {
    let open = (0..SESSIONS, prop_oneof![1 => 10..60_u64, 3 => Just(u64::MAX)])
        .prop_map(|(session, idle_ms)| Verb::Open { session, idle_ms, request: None, by: (0, 0) });
    let proof = || {
        prop_oneof![
            12 => key_of_hold().prop_map(|key| Shown::OfNames(key, Mistake::None)),
            1 => shown(),
        ]
    };
    prop_oneof![
        60 => wanted().prop_map(Verb::Acquire),
        18 => (name(), proof()).prop_map(|(name, proof)| Verb::Release { name, session: None, proof }),
        4 => (name(), proof(), 5..60_u64)
            .prop_map(|(name, proof, lease_ms)| Verb::Renew { name, session: None, proof, lease_ms }),
        28 => change(),
        5 => freezing(),
        3 => (name(), super::choices::key()).prop_map(|(name, key)| Verb::Cancel { name, key }),
        1 => (name(), key_of_hold()).prop_map(|(name, key)| Verb::Force { name, key }),
        6 => (name(), key_of_hold()).prop_map(|(name, key)| Verb::Confirm { name, key }),
        1 => (name(), label()).prop_map(|(name, label)| Verb::CancelWait { name, label }),
        2 => (0..OPEN, any::<bool>()).prop_map(|(session, forced)| Verb::Close { session, forced }),
        4 => open,
        3 => node_of_cluster(),
    ]
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&NAMES[..])
}

/// Its first name and the others; most requests ask for one.
fn names() -> impl Strategy<Value = (&'static str, Option<Vec<(&'static str, u32)>>)> {
    let order = Just(NAMES.to_vec()).prop_shuffle();
    let count = prop_oneof![8 => Just(0_usize), 1 => Just(1), 5 => Just(2), 2 => Just(3)];
    (order, count, vec(size(), 3)).prop_map(|(order, count, sizes)| {
        let others = order.iter().zip(sizes).map(|(name, sizes)| (*name, size_of(name, sizes)));
        (order[0], (count > 0).then(|| others.take(count).skip(1).collect()))
    })
}

/// A size that a lock has which is mostly counted, and one that others have.
fn size() -> impl Strategy<Value = (u32, u32)> {
    let counted = || prop_oneof![8 => Just(2_u32), 2 => Just(3), 1 => Just(1), 1 => Just(SHARED)];
    (counted(), prop_oneof![20 => Just(1_u32), 25 => Just(SHARED), 1 => Just(2)])
}

/// The last lock is the counted one.
fn size_of(name: &str, (counted, other): (u32, u32)) -> u32 {
    if name == NAMES[NAMES.len() - 1] { counted } else { other }
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let owner = prop_oneof![
        7 => (0..OPEN).prop_map(|session| (Some(session), None)),
        2 => label().prop_map(|label| (None, Some(label))),
        1 => Just((None, None)),
    ];
    let wait = prop::option::weighted(0.9, (waiting(), prop_oneof![9 => 5..60_u64, 1 => 0..5_u64]));
    let lease = prop_oneof![6 => 5..60_u64, 2 => 300..400_u64, 1 => ORPHAN_MS - 5..3 * ORPHAN_MS];
    let flags = (prop::bool::weighted(0.3), prop::bool::weighted(0.3));
    let priority = prop_oneof![8 => Just(0), 1 => -1..2_i32];
    let metadata = prop_oneof![9 => Just(Vec::new()), 1 => Just(vec![METADATA[0]])];
    let rest = (flags, priority, metadata, prop::option::weighted(0.4, request()), by());
    (names(), size(), owner, lease, wait, prop::option::weighted(0.5, extras()), rest).prop_map(
        |((name, others), sizes, (session, label), lease_ms, wait, extras, rest)| {
            let ((reentrant, remembers_size), priority, metadata, request, by) = rest;
            let extras = match others {
                Some(others) => Some(Extras {
                    others: Some(others),
                    weight: 1,
                    value: None,
                    lock_delay_ms: extras.map_or(0, |extras| extras.lock_delay_ms),
                }),
                None => extras,
            };
            let size = match extras.as_ref().map_or((1, None), |extras| (extras.weight, extras.value)) {
                (_, Some(_)) => 1,
                (1, None) => size_of(name, sizes),
                (_, None) => size_of(name, sizes).clamp(2, 3),
            };
            Wanted {
                name,
                key: None,
                dialect: 0,
                session,
                label,
                reentrant,
                size,
                remembers_size,
                lease_ms: Some(lease_ms),
                wait,
                extras,
                priority,
                metadata,
                request: request.flatten(),
                by,
            }
        },
    )
}

/// Mostly a weight or a delay, now and then the value of an election.
fn extras() -> impl Strategy<Value = Extras> {
    let weight = prop_oneof![5 => Just(1_u32), 1 => Just(2)];
    let lock_delay_ms = prop_oneof![5 => Just(0_u64), 3 => 1..25_u64];
    let value = prop::option::weighted(0.2, prop::sample::select(vec!["", "v", "val"]));
    (weight, lock_delay_ms, value).prop_map(|(weight, lock_delay_ms, value)| Extras {
        others: None,
        weight,
        lock_delay_ms,
        value,
    })
}
