//! Logs and snapshots in the format of a single node are still read, and continue in the present format.

use super::golden::{golden, one_node_bench};
use super::kit::{Asking, RUN, acquire, ask, node_up, snapshot, start};
use latchd::base::codec::DecodeError;
use latchd::domain::{
    Body, Command, CommandId, Entry, Incarnation, LeaderStart, SnapshotError, StoreId, Submitted, Table, Timestamp,
};

/// The table that the log of the committed version 1 snapshot gives today.
fn whole_log() -> Table {
    one_node_bench(LeaderStart { store: StoreId::UNKNOWN, level: 1, ..start(RUN) }).table
}

fn old_snapshot() -> Table {
    Table::restore(&mut golden("v1", "snapshot").as_slice()).expect("it can be read")
}

fn upgrade(table: &mut Table) -> Vec<String> {
    let next_run = Incarnation(5);
    let commands = [
        node_up(2, Incarnation(2)),
        Command::RaiseLevel { level: 2, limits: None, quotas: None },
        acquire(ask("c", 20).request(1).lease_ms(100)),
        acquire(ask("c", 21).request(1).lease_ms(100)),
        acquire(ask("b", 22).request(2).lease_ms(100).wait_ms(100)),
    ];
    let id = |sequence| CommandId { incarnation: next_run, sequence };
    let commands: Vec<_> = (1..).zip(commands).map(|(n, command)| Submitted { id: id(n), command }).collect();
    let lead = Body::LeaderStart(LeaderStart { confirm: true, ..start(next_run) });
    let batch = Body::Batch { touches: Vec::new(), more_touches: false, commands };
    [(0, lead), (table.epoch() + 1, batch)]
        .map(|(epoch, body)| format!("{:?}", table.apply(Entry { at: Timestamp(2_000), epoch, body })))
        .into()
}

#[test]
fn old_snapshot_equals_replay_of_old_log() {
    assert_eq!(snapshot(&old_snapshot()), snapshot(&whole_log()));
    assert_eq!(old_snapshot().next_deadline(), whole_log().next_deadline());
}

#[test]
fn old_snapshot_plus_new_log_equals_whole_log() {
    let (mut restored, mut whole) = (old_snapshot(), whole_log());
    let told = upgrade(&mut restored);
    assert!(told[1].contains("LevelRaised { level: 2 }"), "{}", told[1]);
    assert_eq!(told, upgrade(&mut whole));
    assert_eq!(snapshot(&restored), snapshot(&whole));
    let again = Table::restore(&mut snapshot(&restored).as_slice()).expect("it can be read");
    assert_eq!(snapshot(&again), snapshot(&restored));
}

#[test]
fn unknown_format_versions_are_refused() {
    let mut bytes = golden("v2", "tick");
    bytes[0] = 3;
    assert_eq!(Entry::decode(&bytes), Err(DecodeError::Unknown { what: "entry version", value: 3 }));
    let mut bytes = golden("v5", "snapshot");
    bytes[0] = 99;
    let error = Table::restore(&mut bytes.as_slice()).err().expect("an error");
    let unknown = DecodeError::Unknown { what: "snapshot version", value: 99 };
    assert!(matches!(error, SnapshotError::Damaged { error, .. } if error == unknown), "{error}");
}

#[test]
fn old_leader_start_without_incarnation_is_refused() {
    let mut bytes = golden("v1", "leader-start");
    // The two incarnations are one byte each, after their count.
    let count = bytes.len() - 3;
    bytes.truncate(count + 1);
    bytes[count] = 0;
    assert_eq!(Entry::decode(&bytes), Err(DecodeError::Truncated));
}
