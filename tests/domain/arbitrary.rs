//! Apply never panics, whatever an entry or a snapshot says. The fuzz targets in `fuzz/` search for longer.

use super::fuzzed::{apply_as_current, apply_entries, joined, led, look_at_all, restore_and_apply};
use super::kit::snapshot;
use super::model::script::steps;
use super::model::{driver, for_all};
use arcstr::ArcStr;
use latchd::domain::{
    Acquire, Body, BodyDigest, Caller, Command, CommandId, Covers, Dialect, Entry, Force, FreezeHolds, FreezeOrder,
    HoldKey, IdempotencyId, IdempotencyKey, Incarnation, LeaderStart, Limits, Metadata, Name, NodeId, Proof, Quota,
    QuotaLimits, QuotaOf, Quotas, SHARED, SessionForce, SessionId, StoreId, Submitted, Table, Terms, Timestamp, Token,
    Upgrade, Wait,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;

#[test]
fn random_entries_and_snapshots_never_panic() {
    for_all((vec(any::<u8>(), 0..400), vec(any::<u8>(), 0..400)), |(snapshot, entries)| {
        apply_entries(&entries);
        restore_and_apply(&snapshot, &entries);
        Ok(())
    });
}

#[test]
fn corrupted_log_never_panics() {
    for_all((steps(), changes()), |(script, changes)| {
        let (log, _) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        apply_entries(&changed(joined(&log), &changes));
        Ok(())
    });
}

#[test]
fn corrupted_snapshot_never_panics() {
    for_all((steps(), changes(), vec(entry(), 0..4)), |(script, changes, entries)| {
        let (_, table) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        restore_and_apply(&changed(snapshot(&table), &changes), &joined(&entries));
        Ok(())
    });
}

#[test]
fn extreme_numbers_in_entries_never_panic() {
    for_all(vec(entry(), 1..20), |entries| {
        let mut table = led(Table::default());
        for entry in entries {
            prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry.clone()));
            apply_as_current(&mut table, entry);
        }
        look_at_all(&table);
        Ok(())
    });
}

/// Where to change the bytes, the new byte, and whether to replace, insert or truncate.
fn changes() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    vec((any::<Index>(), any::<u8>(), 0..6_u8), 1..6)
}

fn changed(mut bytes: Vec<u8>, changes: &[(Index, u8, u8)]) -> Vec<u8> {
    for (at, value, how) in changes.iter().filter(|_| !bytes.is_empty()).cloned().collect::<Vec<_>>() {
        let at = at.index(bytes.len());
        match how {
            0 => bytes.truncate(at.max(1)),
            1 => bytes.insert(at, value),
            2 => bytes[at] = 0xff,
            3 => bytes[at] ^= 1 << (value % 8),
            _ => bytes[at] = value,
        }
    }
    bytes
}

/// Mostly near the ends of the ranges that matter.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..5_u64,
        1 => prop::sample::select(vec![u64::MAX, u64::MAX - 1, 1 << 63, (1 << 53) - 1, 1 << 53, 1 << 32]),
        1 => any::<u64>(),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    let batch = (vec(session(), 0..3), any::<bool>(), vec(submitted(), 0..6))
        .prop_map(|(touches, more_touches, commands)| Body::Batch { touches, more_touches, commands });
    let start = (number(), prop::option::of(limits()), node(), run(), store(), level(), any::<bool>(), quotas())
        .prop_map(|(first_token, limits, node, incarnation, store, level, confirm, quotas)| {
            let limits = limits.unwrap_or_else(super::fuzzed::limits);
            Body::LeaderStart(LeaderStart { first_token, limits, node, incarnation, store, level, confirm, quotas })
        });
    (number(), number(), prop_oneof![5 => batch, 1 => start]).prop_map(|(at, epoch, body)| Entry {
        at: Timestamp(at),
        epoch,
        body,
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    vec(number(), 28).prop_map(|numbers| Limits {
        name_bytes_max: numbers[0],
        metadata_entries_max: numbers[1],
        metadata_key_bytes_max: numbers[2],
        metadata_value_bytes_max: numbers[3],
        wait_ms_max: numbers[4],
        lease_ms_max: numbers[5],
        size_max: numbers[6],
        waiters_per_lock_max: numbers[7],
        holds_max: numbers[8],
        sessions_max: numbers[9],
        holds_per_session_max: numbers[10],
        remembered_sizes_max: numbers[11],
        remembered_size_idle_ms: numbers[12],
        requests_max: numbers[13],
        table_bytes_max: numbers[14],
        credential_share: numbers[15],
        address_share: numbers[16],
        names_max: numbers[17],
        lock_delay_ms_max: numbers[18],
        value_bytes_max: numbers[19],
        election_reliable_ms: numbers[20],
        deadlock_search_max: numbers[21],
        marks_max: numbers[22],
        mark_idle_ms: numbers[23],
        history_per_lock: numbers[24],
        history_bytes_max: numbers[25],
        freeze_ms_max: numbers[26],
        freezes_max: numbers[27],
    })
}

fn quotas() -> impl Strategy<Value = Option<Arc<Quotas>>> {
    let of = prop_oneof![
        (number(), text()).prop_map(|(credential, name)| QuotaOf::Credential { credential, name }),
        Just(QuotaOf::EachCredential),
        text().prop_map(QuotaOf::Prefix),
    ];
    let max = || prop::option::of(number());
    let quota = (of, max(), max(), max()).prop_map(|(of, holds_max, sessions_max, waiters_max)| Quota {
        of,
        limits: QuotaLimits { holds_max, sessions_max, waiters_max },
    });
    let all = vec(quota, 0..4).prop_map(|all| {
        let mut quotas = Quotas::default();
        all.into_iter().for_each(|quota| _ = quotas.insert(quota));
        Arc::new(quotas)
    });
    prop::option::of(all)
}

fn submitted() -> impl Strategy<Value = Submitted> {
    (run(), number(), command()).prop_map(|(incarnation, sequence, command)| {
        let id = CommandId { incarnation, sequence };
        Submitted { id, command }
    })
}

fn command() -> impl Strategy<Value = Command> {
    let caller = || prop::option::of(session());
    prop_oneof![
        2 => (session(), number(), request(), asker()).prop_map(|(session, idle_timeout_ms, request, caller)| {
            Command::OpenSession { session, idle_timeout_ms, idempotency_key: request, caller }
        }),
        1 => (session(), force()).prop_map(|(session, force)| {
            Command::CloseSession { session, force: force.map(SessionForce) }
        }),
        6 => acquire().prop_map(|acquire| Command::Acquire(Box::new(acquire))),
        2 => (text(), caller(), proof()).prop_map(|(name, session, proof)| Command::Release { name, session, proof }),
        1 => (text(), caller(), proof(), number())
            .prop_map(|(name, session, proof, lease_ms)| Command::Renew { name, session, proof, lease_ms }),
        1 => (text(), key()).prop_map(|(name, key)| Command::Cancel { name, key }),
        1 => (text(), key(), force()).prop_map(|(name, key, force)| Command::ForceRelease { name, key, force }),
        1 => (text(), key()).prop_map(|(name, key)| Command::ConfirmDelivery { name, key }),
        1 => (text(), text()).prop_map(|(name, label)| Command::CancelWait { name, label }),
        2 => (node(), run(), store(), level())
            .prop_map(|(node, incarnation, store, level)| Command::NodeUp { node, incarnation, store, level }),
        1 => (node(), run()).prop_map(|(node, incarnation)| Command::NodeDown { node, incarnation }),
        1 => node().prop_map(|node| Command::ForgetNode { node }),
        1 => (level(), prop::option::of(limits().prop_map(Box::new)), quotas())
            .prop_map(|(level, limits, quotas)| Command::RaiseLevel { level, limits, quotas }),
        2 => (text(), caller(), key()).prop_map(|(name, session, key)| Command::Downgrade { name, session, key }),
        2 => (text(), caller(), key(), key(), wait(), asker()).prop_map(|(name, session, key, attempt, wait, caller)| {
            Command::Upgrade(Box::new(Upgrade { name, session, key, attempt, wait, caller }))
        }),
        1 => (text(), caller(), key(), session(), key())
            .prop_map(|(name, session, key, to, new_key)| Command::Transfer { name, session, key, to, new_key }),
        1 => (text(), size()).prop_map(|(name, size)| Command::Resize { name, size }),
        1 => (text(), caller(), key(), text())
            .prop_map(|(name, session, key, value)| Command::SetValue { name, session, key, value }),
        1 => (text(), number().prop_map(Token), asker())
            .prop_map(|(resource, token, caller)| Command::RaiseMark { resource, token, caller }),
        2 => freeze().prop_map(|order| Command::Freeze(Box::new(order))),
        1 => text().prop_map(|target| Command::Thaw { target }),
    ]
}

fn force() -> impl Strategy<Value = Option<Box<Force>>> {
    let force = (text(), text()).prop_map(|(by, reason)| Box::new(Force { by, reason }));
    prop::option::of(force)
}

fn freeze() -> impl Strategy<Value = FreezeOrder> {
    let (covers, holds) = (prop::sample::select(&Covers::ALL[..]), prop::sample::select(&FreezeHolds::ALL[..]));
    (text(), covers, holds, number(), text(), text()).prop_map(|(target, covers, holds, for_ms, reason, by)| {
        FreezeOrder { target, covers, holds, for_ms, reason, by }
    })
}

fn acquire() -> impl Strategy<Value = Acquire> {
    let owner = (prop::option::of(session()), prop::option::of(text()), any::<bool>());
    let size = (size(), any::<bool>());
    let priority = prop_oneof![3 => Just(0), 1 => any::<i32>()];
    let rest = (prop::option::of(number()), wait(), priority, vec((text(), text()), 0..2), request(), asker());
    let places = (text(), key(), dialect(), terms());
    (places, owner, size, rest).prop_map(|((name, key, dialect, terms), owner, size, rest)| Acquire {
        name,
        key,
        dialect,
        session: owner.0,
        label: owner.1,
        reentrant: owner.2,
        size: size.0,
        remembers_size: size.1,
        lease_ms: rest.0,
        wait: rest.1,
        priority: rest.2,
        metadata: Metadata::from_iter(rest.3.iter().map(|(key, value)| (&**key, &**value))),
        idempotency_key: rest.4,
        caller: rest.5,
        // Only a forged entry names a hold by another name than the first of its names.
        terms: terms.map(Arc::new),
    })
}

fn size() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..4_u32, 2 => Just(SHARED)]
}

fn wait() -> impl Strategy<Value = Option<Wait>> {
    let wait = (0..3_u8, number()).prop_map(|(how, timeout_ms)| match how {
        0 => Wait::Detached { timeout_ms },
        1 => Wait::Attached { timeout_ms },
        _ => Wait::Guarded { timeout_ms },
    });
    prop::option::of(wait)
}

fn terms() -> impl Strategy<Value = Option<Terms>> {
    let weight = prop_oneof![3 => Just(1_u32), 1 => 0..4_u32, 1 => Just(u32::MAX)];
    let names = prop_oneof![2 => Just(Vec::new()), 2 => vec((text(), size()), 0..4)];
    let terms = (weight, prop_oneof![2 => Just(0), 1 => number()], names, prop::option::of(text()));
    prop::option::of(terms.prop_map(|(weight, lock_delay_ms, names, value)| Terms {
        weight,
        lock_delay_ms,
        names,
        value,
    }))
}

fn proof() -> impl Strategy<Value = Proof> {
    prop_oneof![
        key().prop_map(Proof::Key),
        dialect().prop_map(Proof::TakenBy),
        (text(), prop::option::of(number().prop_map(Token))).prop_map(|(label, token)| Proof::Label { label, token }),
        (key(), vec(text(), 0..3)).prop_map(|(key, names)| Proof::OfNames { key, names: names.into() }),
    ]
}

fn request() -> impl Strategy<Value = Option<IdempotencyKey>> {
    let key = (0..3_u8, 0..8_u8).prop_map(|(id, body)| IdempotencyKey {
        id: IdempotencyId([id; 16]),
        // Mostly the same body.
        body: BodyDigest([u8::from(body == 0); 16]),
    });
    prop::option::of(key)
}

fn asker() -> impl Strategy<Value = Caller> {
    (0..3_u64, 0..3_u64).prop_map(|(credential, address)| Caller { credential, address })
}

fn node() -> impl Strategy<Value = NodeId> {
    prop_oneof![5 => 0..3_u64, 1 => number()].prop_map(NodeId)
}

fn run() -> impl Strategy<Value = Incarnation> {
    (0..4_u64).prop_map(Incarnation)
}

fn store() -> impl Strategy<Value = StoreId> {
    (0..3_u8).prop_map(|number| StoreId([number; 16]))
}

fn level() -> impl Strategy<Value = u32> {
    prop_oneof![1 => 0..2_u32, 5 => Just(2), 4 => 3..12_u32, 1 => Just(u32::MAX)]
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(&Dialect::ALL[..])
}

fn key() -> impl Strategy<Value = HoldKey> {
    (0..6_u8).prop_map(|number| HoldKey([number; 16]))
}

fn session() -> impl Strategy<Value = SessionId> {
    (0..3_u8).prop_map(|number| SessionId([number; 16]))
}

fn text() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["a", "b", "", "\0", "é"]).prop_map(ArcStr::from)
}
