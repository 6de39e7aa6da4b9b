//! The committed bytes of quotas, and of sessions that were ended by force; see [`golden`](super::golden).

use super::golden::{check, cluster_table, entry_of, golden, leader_start};
use super::kit::{Asking, Bench, RUN, ask, caller, limits, open_as, session, snapshot, start};
use super::quotas::{of, quotas};
use latchd::domain::{Command, Entry, Force, Incarnation, LeaderStart, Limits, QuotaOf, Quotas, SessionForce, Table};
use std::sync::Arc;

fn all() -> Option<Arc<Quotas>> {
    quotas([
        (QuotaOf::Credential { credential: 7, name: "ci".into() }, of(Some(300), Some(2), Some(50))),
        (QuotaOf::EachCredential, of(Some(1), None, None)),
        (QuotaOf::Prefix("größe/".into()), of(None, None, Some(5))),
    ])
}

fn close_by_force() -> Command {
    Command::CloseSession {
        session: session(1),
        force: Some(SessionForce(Box::new(Force::new("ops", "the worker hangs")))),
    }
}

#[test]
fn entries_with_quotas_match_golden_bytes() {
    let start = leader_start(LeaderStart { quotas: all(), level: 12, ..start(Incarnation(7)) });
    let raise = |quotas| Command::RaiseLevel { level: 12, limits: Some(Box::new(limits())), quotas };
    let entries = [
        ("leader-start", start.clone()),
        ("raise-level", entry_of(raise(all()))),
        ("close", entry_of(close_by_force())),
    ];
    for (file, entry) in entries {
        let bytes = entry.encode();
        check("v11", file, &bytes);
        assert_eq!(Entry::decode(&golden("v11", file)), Ok(entry.clone()), "{file} is read as another entry");
        assert_eq!((bytes[0], entry.clone().for_level(12)), (11, entry.clone()), "{file}");
        // Nodes of an older release can read this.
        assert!(entry.for_level(11).encode()[0] < 11, "{file}");
    }
    assert_eq!(entry_of(Command::CloseSession { session: session(1), force: None }).encode()[0], 2);
}

#[test]
fn snapshot_with_quotas_matches_golden_bytes() {
    let limits = Limits { history_per_lock: 0, ..limits() };
    let mut bench = Bench::started(LeaderStart { limits, quotas: all(), level: 12, ..start(RUN) });
    bench.outcome(open_as(1, caller(7, 1)));
    bench.outcome(open_as(2, caller(7, 1)));
    bench.acquired(ask("größe/1", 2_000).session(1));
    bench.acquired(ask("größe/2", 2_001).session(2));
    // As many as one entry may end, so that the hold of the session is still there.
    (0..512).for_each(|number| _ = bench.acquired(ask(&format!("lock-{number}"), number).lease_ms(100_000)));
    bench.pass_ms(100_001).outcome(close_by_force());
    assert_eq!(bench.table.counts().holds, 2);
    check("v11", "snapshot", &bench.snapshot());
    let restored = Table::restore(&mut golden("v11", "snapshot").as_slice()).expect("it can be read");
    assert_eq!((restored.counts(), snapshot(&restored)), (bench.table.counts(), bench.snapshot()));
}

/// The level alone changes nothing of what the table had before.
#[test]
fn table_without_quotas_has_a_byte_more_and_another_for_each_session() {
    let tables = [11, 12].map(cluster_table);
    let lengths = tables.each_ref().map(|table| snapshot(table).len());
    assert_eq!(lengths[0] + 1 + tables[0].counts().sessions as usize, lengths[1]);
}
