//! The committed bytes of freezes; see [`golden`](super::golden).

use super::golden::{check, cluster_table, entry_of, golden, leader_start};
use super::kit::{Asking, Bench, RUN, ask, limits, name, snapshot, start};
use latchd::domain::{Command, Covers, Entry, FreezeHolds, FreezeOrder, Incarnation, LeaderStart, Limits, Table};

fn limits_with_freezes() -> Limits {
    Limits { freeze_ms_max: 720 * 3_600_000, freezes_max: 1_000, ..limits() }
}

fn order(target: &str, covers: Covers, holds: FreezeHolds) -> FreezeOrder {
    let (target, for_ms, reason, by) = (name(target), 3_600_000, "release 7".into(), "ops".into());
    FreezeOrder { target, covers, holds, for_ms, reason, by }
}

#[test]
fn entries_with_freezes_match_golden_bytes() {
    let limits = limits_with_freezes();
    let order = order("größe/", Covers::Prefix, FreezeHolds::Break);
    let start = leader_start(LeaderStart { limits, level: 11, ..start(Incarnation(7)) });
    let entries = [
        ("freeze", entry_of(Command::Freeze(Box::new(order)))),
        ("thaw", entry_of(Command::Thaw { target: name("größe/") })),
        ("raise-level", entry_of(Command::RaiseLevel { level: 11, limits: Some(Box::new(limits)), quotas: None })),
        ("leader-start", start.clone()),
    ];
    for (file, entry) in entries {
        let bytes = entry.encode();
        check("v10", file, &bytes);
        assert_eq!(Entry::decode(&golden("v10", file)), Ok(entry.clone()), "{file} is read as another entry");
        assert_eq!((bytes[0], entry.clone().for_level(11)), (10, entry), "{file}");
    }
    // Nodes of an older release can read this.
    assert_eq!(start.for_level(10).encode()[0], 9);
}

#[test]
fn snapshot_with_freezes_matches_golden_bytes() {
    let mut bench = Bench::started(LeaderStart { limits: limits_with_freezes(), level: 11, ..start(RUN) });
    bench.acquired(ask("frozen", 1));
    for order in
        [order("deploy/", Covers::Prefix, FreezeHolds::Drain), order("frozen", Covers::Name, FreezeHolds::Break)]
    {
        bench.outcome(Command::Freeze(Box::new(order)));
    }
    bench.queued(ask("deploy/a", 2).lease_ms(9).wait_ms(60_000));
    check("v10", "snapshot", &bench.snapshot());
    let restored = Table::restore(&mut golden("v10", "snapshot").as_slice()).expect("it can be read");
    assert_eq!((restored.counts(), snapshot(&restored)), (bench.table.counts(), bench.snapshot()));
}

/// The level alone changes nothing of what the table had before.
#[test]
fn table_without_freezes_has_four_more_bytes() {
    let lengths = [10, 11].map(|level| snapshot(&cluster_table(level)).len());
    // The two limits, the number of freezes, and that no sweep is under way.
    assert_eq!(lengths[0] + 4, lengths[1]);
}
