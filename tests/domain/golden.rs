//! The bytes of one entry of each kind and of one snapshot, committed: the format cannot change unnoticed.
//!
//! A change that is meant comes with a new version byte and a reader of the old one. To write the files anew:
//! `UPDATE_GOLDEN=1 cargo test --test all domain::golden`.

use super::kit::{Asking, Bench, acquire, ask, cancel, close, force, key, name, renew, session, snapshot};
use latchd::domain::{
    Body, Command, CommandId, Dialect, Entry, Incarnation, LeaderStart, Limits, Proof, Submitted, Table, Timestamp,
    Token,
};
use std::path::PathBuf;

#[test]
fn entries_have_the_bytes_they_always_had() {
    for (file, entry) in entries() {
        let bytes = golden(file, &entry.encode());
        assert_eq!(Entry::decode(&bytes), Ok(entry), "{file} is read as another entry");
    }
}

#[test]
fn a_snapshot_has_the_bytes_it_always_had() {
    let table = table();
    let bytes = golden("snapshot", &snapshot(&table));
    let restored = Table::restore(&mut bytes.as_slice()).expect("it can be read");
    assert_eq!(restored.counts(), table.counts());
    for lock in ["a", "b", "idle"] {
        let view = |table: &Table| format!("{:?}", table.lock_view(&name(lock), table.now()));
        assert_eq!(view(&restored), view(&table));
    }
    assert_eq!(format!("{:?}", restored.session_view(session(1))), format!("{:?}", table.session_view(session(1))));
}

/// Compares with the committed bytes, which come back.
fn golden(file: &str, bytes: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file).with_extension("hex");
    let digits: Vec<String> =
        bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, digits.join("\n") + "\n").expect("the folder can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(committed.lines().collect::<Vec<_>>(), digits, "{file} has other bytes than before");
    let committed: String = committed.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&committed[at..at + 2], 16).expect("hex digits");
    (0..committed.len()).step_by(2).map(byte).collect()
}

fn entries() -> Vec<(&'static str, Entry)> {
    let with_session = |proof| Command::Release { name: name("a"), session: Some(session(1)), proof };
    let commands = [
        ("open-session", Command::OpenSession { session: session(1), idle_timeout_ms: 600_000 }),
        ("close-session", close(1)),
        ("acquire", acquire(full_ask())),
        ("acquire-plain", acquire(ask("a", 1))),
        ("acquire-detached", acquire(ask("a", 1).label("x").lease_ms(1).detached_ms(300))),
        ("release-by-key", with_session(Proof::Key(key(1)))),
        ("release-by-dialect", with_session(Proof::TakenBy(Dialect::LockByName))),
        ("release-by-label", with_session(Proof::Label { label: "x".into(), token: Some(Token(1 << 50)) })),
        ("renew", renew("a", 1, 30_000)),
        ("cancel", cancel("a", 1)),
        ("force-release", force("a", 1)),
    ];
    let batch = |touches, more_touches, commands| Entry {
        at: Timestamp(1_234_567),
        epoch: 3,
        body: Body::Batch { touches, more_touches, commands },
    };
    let id = CommandId { incarnation: Incarnation(0x0102_0304_0506_0708), sequence: 300 };
    let mut entries: Vec<_> =
        commands.map(|(file, command)| (file, batch(Vec::new(), false, vec![Submitted { id, command }]))).into();
    entries.push(("tick", batch(vec![session(1), session(2)], true, Vec::new())));
    let start =
        LeaderStart { first_token: 1 << 50, limits: Limits::default(), live: vec![Incarnation(7), Incarnation(8)] };
    entries.push(("leader-start", Entry { at: Timestamp(0), epoch: 4, body: Body::LeaderStart(start) }));
    entries
}

/// With something in every field.
fn full_ask() -> latchd::domain::Acquire {
    ask("größe", 7)
        .ldlm(3)
        .session(1)
        .reentrant("x")
        .lease_ms(30_000)
        .wait_ms(5_000)
        .priority(-5)
        .metadata(&[("host", "db-1"), ("job", "nightly")])
}

/// With every kind of thing in it.
fn table() -> Table {
    let mut bench = Bench::new();
    bench.open(1, 600_000);
    bench.open(2, 600_000);
    bench.pass_ms(10).acquired(ask("a", 1).ldlm(2).session(1).lease_ms(30_000).metadata(&[("host", "db-1")]));
    bench.acquired(ask("a", 2).ldlm(2).label("x"));
    bench.queued(ask("a", 3).session(1).priority(4).wait_ms(5_000));
    bench.queued(ask("a", 4).label("y").priority(-4).lease_ms(9).detached_ms(5_000));
    bench.acquired(ask("b", 5).dialect(Dialect::LockByName));
    bench.acquired(ask("idle", 6).ldlm(7));
    bench.outcome(super::kit::release("idle", 6));
    bench.table
}
