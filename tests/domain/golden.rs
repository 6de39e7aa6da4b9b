//! The committed bytes of one entry of each kind and of one snapshot per version: the format cannot change unnoticed.
//!
//! An intended change needs a new version byte, a new folder, and a reader of the old formats. To write the files of
//! the present version again: `UPDATE_GOLDEN=1 cargo test --test all domain::golden`.

use super::kit::{
    Asking, Bench, RUN, acquire, ask, caller, cancel, cancel_wait, close, confirm, force, key, limits, name, node_down,
    release, renew, request, session, snapshot, start, store, upgrade,
};
use latchd::base::codec::DecodeError;
use latchd::domain::{
    Acquire, Body, Caller, Command, CommandId, Dialect, Entry, Force, Incarnation, LeaderStart, Limits, NodeId,
    NodeRecord, Proof, SHARED, StoreId, Submitted, Table, Terms, Timestamp, Token, Upgrade, Wait, view::Counts,
};
use std::path::PathBuf;

#[test]
fn entries_match_golden_bytes() {
    let mut entries: Vec<_> = one_node_entries(Some(request(1, 2))).into_iter().chain(cluster_entries()).collect();
    let start = LeaderStart { limits: older_limits(), confirm: true, level: 2, ..start(Incarnation(7)) };
    entries.push(("leader-start", leader_start(start)));
    for (file, entry) in entries {
        check("v2", file, &entry.encode());
        assert_eq!(Entry::decode(&golden("v2", file)), Ok(entry), "{file} is read as another entry");
    }
}

#[test]
fn entries_with_callers_match_golden_bytes() {
    let limits = Limits { table_bytes_max: 1 << 30, credential_share: 500, address_share: 250, ..older_limits() };
    let entries = [
        ("open-session", entry_of(open_by(1, Some(request(1, 2)), caller(1 << 63, 0xffff_0a00_0001)))),
        ("acquire", entry_of(acquire(full_ask().request(3).by(caller(0, 1))))),
        ("leader-start", leader_start(LeaderStart { limits, level: 6, ..start(Incarnation(7)) })),
    ];
    for (file, entry) in entries {
        check("v5", file, &entry.encode());
        assert_eq!(Entry::decode(&golden("v5", file)), Ok(entry.clone()), "{file} is read as another entry");
        assert_eq!(entry.clone().for_level(6), entry);
        // Nodes of an older release can read this.
        assert_eq!(entry.for_level(5).encode()[0], 2, "{file}");
    }
}

#[test]
fn entries_with_modes_match_golden_bytes() {
    let (name, session, key, limits) = (name("a"), Some(session(1)), key(1), limits_of_modes());
    let names = vec![name.clone(), "b".into()];
    let terms = |terms: &mut Terms| {
        (terms.weight, terms.lock_delay_ms, terms.value) = (2, 7_000, Some("node-1".into()));
        terms.names = vec![("größe".into(), 7), ("b".into(), SHARED)];
    };
    let wait = Some(Wait::Guarded { timeout_ms: 5_000 });
    let ask = full_ask().terms(terms).edit(|ask| (ask.size, ask.wait) = (7, wait));
    let by_names = Proof::OfNames { key, names: names.into() };
    let (to, new_key, caller) = (latchd::domain::SessionId([9; 16]), super::kit::key(2), caller(1, 2));
    let upgrade = Upgrade { name: name.clone(), session, key, attempt: new_key, wait, caller };
    let commands = [
        ("acquire", acquire(ask)),
        ("release-names", Command::Release { name: name.clone(), session, proof: by_names }),
        ("raise-level", Command::RaiseLevel { level: 7, limits: Some(Box::new(limits)), quotas: None }),
        ("downgrade", Command::Downgrade { name: name.clone(), session, key }),
        ("upgrade", Command::Upgrade(Box::new(upgrade))),
        ("transfer", Command::Transfer { name: name.clone(), session, key, to, new_key }),
        ("resize", Command::Resize { name: name.clone(), size: 3 }),
        ("set-value", Command::SetValue { name: name.clone(), session, key, value: "node-2".into() }),
        ("raise-mark", Command::RaiseMark { resource: name, token: Token(1 << 50), caller }),
    ];
    let mut entries: Vec<_> = commands.into_iter().map(|(file, command)| (file, entry_of(command))).collect();
    entries.push(("leader-start", leader_start(LeaderStart { limits, level: 7, ..start(Incarnation(7)) })));
    for (file, entry) in entries {
        check("v6", file, &entry.encode());
        assert_eq!(Entry::decode(&golden("v6", file)), Ok(entry.clone()), "{file} is read as another entry");
        assert_eq!(entry.encode()[0], 6, "{file}");
    }
}

#[test]
fn entries_with_later_dialects_match_golden_bytes() {
    let taken_by_redis = Command::Release { name: name("a"), session: None, proof: Proof::TakenBy(Dialect::Redis) };
    let entries = [
        ("acquire", entry_of(acquire(ask("a", 1).label("id").dialect(Dialect::Terraform).by(caller(1, 2))))),
        ("release-by-dialect", entry_of(taken_by_redis)),
    ];
    for (file, entry) in entries {
        let bytes = entry.encode();
        check("v7", file, &bytes);
        assert_eq!(Entry::decode(&golden("v7", file)), Ok(entry), "{file} is read as another entry");
        // A node of an older release says so instead of that the entry is damaged.
        assert_eq!(bytes[0], 7, "{file}");
        let claims_6: Vec<u8> = std::iter::once(6).chain(bytes[1..].iter().copied()).collect();
        assert!(matches!(Entry::decode(&claims_6), Err(DecodeError::Unknown { what: "dialect", .. })), "{file}");
    }
}

#[test]
fn entries_with_history_match_golden_bytes() {
    let (name, key, limits) = (name("größe"), key(1), limits());
    let ops = Some(Box::new(Force::new("ops", "the worker hangs")));
    let force = |force| Command::ForceRelease { name: name.clone(), key, force };
    let raise = |limits| Command::RaiseLevel { level: 10, limits: Some(Box::new(limits)), quotas: None };
    let start = |limits| leader_start(LeaderStart { limits, level: 10, ..start(Incarnation(7)) });
    let entries = [
        ("force-release", entry_of(force(ops)), entry_of(force(None))),
        ("raise-level", entry_of(raise(limits)), entry_of(raise(limits))),
        ("leader-start", start(limits), start(limits_of_modes())),
    ];
    for (file, entry, at_9) in entries {
        check("v9", file, &entry.encode());
        assert_eq!(Entry::decode(&golden("v9", file)), Ok(entry.clone()), "{file} is read as another entry");
        assert_eq!((entry.encode()[0], entry.clone().for_level(10)), (9, entry.clone()), "{file}");
        // Nodes of an older release can read this. Before the level is raised, all nodes support it.
        assert_eq!(entry.for_level(9), at_9, "{file}");
    }
    assert_eq!(entry_of(force(None)).encode()[0], 2);
}

#[test]
fn guarded_wait_is_a_plain_one_for_older_nodes() {
    let wait = |wait| entry_of(acquire(ask("a", 1).lease_ms(1).edit(|ask| ask.wait = Some(wait))));
    let guarded = wait(Wait::Guarded { timeout_ms: 300 });
    let plain = wait(Wait::Attached { timeout_ms: 300 });
    assert_eq!((guarded.encode()[0], plain.encode()[0]), (6, 2));
    assert_eq!(guarded.for_level(6), plain);
}

#[test]
fn snapshots_match_golden_bytes() {
    for (version, level) in [("v2", 2), ("v3", 3), ("v4", 4), ("v5", 6), ("v6", 7), ("v7", 8), ("v8", 9), ("v9", 10)] {
        let table = cluster_table(level);
        check(version, "snapshot", &snapshot(&table));
        let restored = Table::restore(&mut golden(version, "snapshot").as_slice()).expect("it can be read");
        assert_eq!(restored.counts(), table.counts());
        assert_eq!((restored.event_origin(), restored.table_id()), (table.event_origin(), table.table_id()));
        assert_eq!(snapshot(&restored), snapshot(&table));
    }
}

#[test]
fn single_node_entries_are_still_read() {
    for (file, entry) in one_node_entries(None) {
        assert_eq!(Entry::decode(&golden("v1", file)), Ok(entry), "{file} is read as another entry");
    }
    // It named two incarnations, of which the first was the node's own.
    let meant = LeaderStart {
        first_token: 1 << 50,
        limits: older_limits(),
        node: NodeId(1),
        incarnation: Incarnation(7),
        store: StoreId::UNKNOWN,
        level: 1,
        confirm: false,
        quotas: None,
    };
    assert_eq!(Entry::decode(&golden("v1", "leader-start")), Ok(leader_start(meant)));
}

#[test]
fn single_node_snapshot_is_still_read() {
    let restored = Table::restore(&mut golden("v1", "snapshot").as_slice()).expect("it can be read");
    let table = one_node_bench(start(RUN)).table;
    assert_eq!(restored.counts(), Counts { idempotency_keys: 0, ..table.counts() });
    for lock in ["a", "b", "idle"] {
        let view = |table: &Table| format!("{:?}", table.lock_view(&name(lock), table.now()));
        assert_eq!(view(&restored), view(&table));
    }
    assert_eq!(format!("{:?}", restored.session_view(session(1))), format!("{:?}", table.session_view(session(1))));
    let (last_sequence, store) = (9, StoreId::UNKNOWN);
    let node = NodeRecord { incarnation: RUN, last_sequence, up: true, store, level: 1 };
    assert_eq!(restored.nodes().iter().collect::<Vec<_>>(), [(&NodeId(1), &node)]);
    assert_eq!((restored.level(), restored.confirms_deliveries()), (1, false));
}

/// Compares with the committed bytes.
pub fn check(version: &str, file: &str, bytes: &[u8]) {
    let path = path(version, file);
    let digits: Vec<String> =
        bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, digits.join("\n") + "\n").expect("the folder can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(committed.lines().collect::<Vec<_>>(), digits, "{file} has other bytes than before");
}

/// The committed bytes.
pub fn golden(version: &str, file: &str) -> Vec<u8> {
    let path = path(version, file);
    let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let committed: String = committed.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&committed[at..at + 2], 16).expect("hex digits");
    (0..committed.len()).step_by(2).map(byte).collect()
}

fn path(version: &str, file: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version);
    folder.join(file).with_extension("hex")
}

/// The commands of the first version; since version 2 with an idempotency key.
fn one_node_entries(request: Option<latchd::domain::IdempotencyKey>) -> Vec<(&'static str, Entry)> {
    let with_session = |proof: Proof| Command::Release { name: name("a"), session: Some(session(1)), proof };
    let commands = [
        ("open-session", open_by(1, request, Caller::NOBODY)),
        ("close-session", close(1)),
        ("acquire", acquire(full_ask().edit(|ask| ask.idempotency_key = request))),
        ("acquire-plain", acquire(ask("a", 1))),
        ("acquire-detached", acquire(ask("a", 1).label("x").lease_ms(1).detached_ms(300))),
        ("release-by-key", with_session(Proof::Key(key(1)))),
        ("release-by-dialect", with_session(Proof::TakenBy(Dialect::LockdRest))),
        ("release-by-label", with_session(Proof::Label { label: "x".into(), token: Some(Token(1 << 50)) })),
        ("renew", renew("a", 1, 30_000)),
        ("cancel", cancel("a", 1)),
        ("force-release", force("a", 1)),
    ];
    let mut entries: Vec<_> = commands.map(|(file, command)| (file, entry_of(command))).into();
    entries.push(("tick", batch(vec![session(1), session(2)], true, Vec::new())));
    entries
}

fn cluster_entries() -> Vec<(&'static str, Entry)> {
    let label = Proof::Label { label: "x".into(), token: None };
    let commands = [
        ("renew-by-label", Command::Renew { name: name("a"), session: None, proof: label, lease_ms: 30_000 }),
        ("confirm-delivery", confirm("a", 1)),
        ("cancel-wait", cancel_wait("a", "x")),
        ("node-up", node_up_at(2, Incarnation(8))),
        ("node-down", node_down(2, Incarnation(8))),
        ("forget-node", Command::ForgetNode { node: NodeId(2) }),
        ("raise-level", Command::RaiseLevel { level: 2, limits: None, quotas: None }),
    ];
    commands.map(|(file, command)| (file, entry_of(command))).into()
}

pub fn entry_of(command: Command) -> Entry {
    let id = CommandId { incarnation: Incarnation(0x0102_0304_0506_0708), sequence: 300 };
    batch(Vec::new(), false, vec![Submitted { id, command }])
}

fn batch(touches: Vec<latchd::domain::SessionId>, more_touches: bool, commands: Vec<Submitted>) -> Entry {
    Entry { at: Timestamp(1_234_567), epoch: 3, body: Body::Batch { touches, more_touches, commands } }
}

pub fn leader_start(start: LeaderStart) -> Entry {
    Entry { at: Timestamp(0), epoch: 4, body: Body::LeaderStart(start) }
}

/// An acquire with a value in every field.
fn full_ask() -> Acquire {
    ask("größe", 7)
        .ldlm(3)
        .session(1)
        .reentrant("x")
        .lease_ms(30_000)
        .wait_ms(5_000)
        .priority(-5)
        .metadata(&[("host", "db-1"), ("job", "nightly")])
}

/// A table with every kind of state from before there were clusters.
pub fn one_node_bench(start: LeaderStart) -> Bench {
    let mut bench = Bench::started(start);
    bench.open(1, 600_000);
    bench.open(2, 600_000);
    bench.pass_ms(10).acquired(ask("a", 1).ldlm(2).session(1).lease_ms(30_000).metadata(&[("host", "db-1")]));
    bench.acquired(ask("a", 2).ldlm(2).label("x"));
    bench.queued(ask("a", 3).session(1).priority(4).wait_ms(5_000));
    bench.queued(ask("a", 4).label("y").priority(-4).lease_ms(9).detached_ms(5_000));
    bench.acquired(ask("b", 5).dialect(Dialect::LockdRest));
    bench.acquired(ask("idle", 6).ldlm(7));
    bench.outcome(release("idle", 6));
    bench
}

/// Node 2, which supports this level.
fn node_up_at(level: u32, incarnation: Incarnation) -> Command {
    Command::NodeUp { node: NodeId(2), incarnation, store: store(2), level }
}

/// A table with every kind of state that this level has.
pub fn cluster_table(level: u32) -> Table {
    let mut bench = one_node_bench(LeaderStart { level, ..start(RUN) });
    bench.lead(LeaderStart { confirm: true, level, ..start(RUN) });
    bench.outcome(node_up_at(level, Incarnation(2)));
    bench.outcome(node_down(2, Incarnation(2)));
    bench.outcome(open_by(3, Some(request(1, 0)), Caller::NOBODY));
    bench.acquired(ask("c", 7).request(2).lease_ms(30_000));
    bench.queued(ask("c", 8).request(3).lease_ms(30_000).wait_ms(60_000));
    bench.outcome(cancel("c", 8));
    bench.acquired(ask("d", 9).request(4).dialect(Dialect::Kufuli));
    bench.outcome(cancel("d", 9));
    bench.acquired(ask("e", 10).request(5));
    bench.outcome(release("e", 10));
    bench.acquired(ask("f", 11));
    bench.queued(ask("f", 12).lease_ms(30_000).wait_ms(60_000));
    bench.outcome(release("f", 11));
    if level >= 6 {
        with_callers(&mut bench);
    }
    if level >= 7 {
        with_modes(&mut bench);
    }
    if level >= 9 {
        bench.acquired(ask("late", 32).lease_ms(1).by(caller(1, 2)).terms(|terms| terms.lock_delay_ms = 60_000));
        bench.pass_ms(2).tick();
    }
    if level >= 8 {
        bench.acquired(ask("state", 30).label("id").dialect(Dialect::Terraform));
        bench.queued(ask("state", 31).lease_ms(9).wait_ms(60_000).dialect(Dialect::Redis));
    }
    if level >= 10 {
        with_history(&mut bench);
    }
    bench.table
}

/// Holds of all kinds that have ended in all ways.
fn with_history(bench: &mut Bench) {
    bench.lead(LeaderStart { first_token: 1_800_000_000_000 << 10, confirm: true, level: 10, ..start(RUN) });
    let labelled = ask("forced", 40).label("x").by(caller(1, 2)).metadata(&[("host", "db-1")]);
    bench.pass_ms(7).acquired(labelled.size(3).terms(|terms| terms.weight = 2));
    let force = Some(Box::new(Force::new("ops", "the worker hangs")));
    bench.pass_ms(5).outcome(Command::ForceRelease { name: name("forced"), key: key(40), force });
    bench.acquired(
        ask("past-1", 41).dialect(Dialect::Redis).label("secret").shared().names(&[("past-1", SHARED), ("past-2", 1)]),
    );
    bench.outcome(super::kit::release_names(&["past-1", "past-2"], 41));
    bench.acquired(ask("past-2", 42).lease_ms(3).terms(|terms| terms.value = Some("node-2".into())));
    bench.open(6, 3);
    bench.acquired(ask("past-1", 43).session(6));
    bench.pass_ms(4).tick();
}

/// A command that names its caller.
fn with_callers(bench: &mut Bench) {
    bench.outcome(open_by(4, Some(request(6, 0)), caller(1 << 63, 0xffff_0a00_0001)));
    bench.acquired(ask("g", 13).session(4).request(7).by(caller(1 << 63, 0)));
    bench.queued(ask("g", 14).request(8).lease_ms(30_000).wait_ms(60_000).by(caller(0, 7)));
    bench.acquired(ask("h", 15).request(9).by(caller(1, 2)));
    bench.outcome(release("h", 15));
}

/// Shared and exclusive holds that change, weights, several names, a delay, an election and a mark.
fn with_modes(bench: &mut Bench) {
    bench.open(5, 5);
    bench.acquired(ask("shared", 20).shared());
    bench.acquired(ask("shared", 21).shared().lease_ms(30_000));
    bench.queued(upgrade("shared", 20, 22, Some(60_000)));
    bench.queued(ask("shared", 23).lease_ms(30_000).wait_ms(60_000));
    bench.acquired(ask("counted", 24).size(5).terms(|terms| terms.weight = 3));
    bench.outcome(Command::Resize { name: name("counted"), size: 4 });
    bench.acquired(ask("set-1", 25).names(&[("set-1", 1), ("set-2", SHARED)]).lease_ms(30_000));
    bench.queued(ask("set-2", 26).names(&[("set-2", 1), ("set-3", 1)]).lease_ms(30_000).wait_ms(60_000));
    bench.acquired(ask("delayed", 27).session(5).terms(|terms| terms.lock_delay_ms = 60_000));
    bench.acquired(ask("elected", 28).lease_ms(30_000).terms(|terms| terms.value = Some("node-1".into())));
    let token = bench.table.last_token();
    bench.outcome(Command::RaiseMark { resource: name("invoices"), token, caller: caller(1, 0) });
    bench.pass_ms(6).tick();
}

/// The limits of a table below the level of modes.
fn older_limits() -> Limits {
    Limits {
        names_max: 0,
        lock_delay_ms_max: 0,
        value_bytes_max: 0,
        election_reliable_ms: 0,
        deadlock_search_max: 0,
        marks_max: 0,
        mark_idle_ms: 0,
        ..limits_of_modes()
    }
}

/// The limits of a table below the level of history.
fn limits_of_modes() -> Limits {
    Limits { history_per_lock: 0, history_bytes_max: 0, ..limits() }
}

fn open_by(number: u8, request: Option<latchd::domain::IdempotencyKey>, caller: Caller) -> Command {
    Command::OpenSession { session: session(number), idle_timeout_ms: 600_000, idempotency_key: request, caller }
}
