//! From the format of a single node to that of clusters: what was written goes on as if it had never been old.

use super::golden::{golden, one_node_bench};
use super::kit::{Asking, RUN, acquire, ask, node_up, snapshot, start};
use latchd::base::codec::DecodeError;
use latchd::domain::{
    Body, Command, CommandId, Entry, Incarnation, LeaderStart, SnapshotError, StoreId, Submitted, Table, Timestamp,
};

/// What made the committed snapshot of version 1, as its log is read today.
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
        Command::RaiseLevel { level: 2 },
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
fn an_old_snapshot_is_what_its_log_makes_today() {
    assert_eq!(snapshot(&old_snapshot()), snapshot(&whole_log()));
    assert_eq!(old_snapshot().next_deadline(), whole_log().next_deadline());
}

#[test]
fn an_old_snapshot_and_the_new_log_are_the_old_log_and_the_new_log() {
    let (mut restored, mut whole) = (old_snapshot(), whole_log());
    let told = upgrade(&mut restored);
    assert!(told[1].contains("LevelRaised { level: 2 }"), "{}", told[1]);
    assert_eq!(told, upgrade(&mut whole));
    assert_eq!(snapshot(&restored), snapshot(&whole));
    let again = Table::restore(&mut snapshot(&restored).as_slice()).expect("it can be read");
    assert_eq!(snapshot(&again), snapshot(&restored));
}

#[test]
fn formats_of_the_future_are_refused_by_name() {
    let mut bytes = golden("v2", "tick");
    bytes[0] = 3;
    assert_eq!(Entry::decode(&bytes), Err(DecodeError::Unknown { what: "entry version", value: 3 }));
    let mut bytes = golden("v5", "snapshot");
    bytes[0] = 6;
    let error = Table::restore(&mut bytes.as_slice()).err().expect("it is believed");
    let unknown = DecodeError::Unknown { what: "snapshot version", value: 6 };
    assert!(matches!(error, SnapshotError::Damaged { error, .. } if error == unknown), "{error}");
}

#[test]
fn an_old_entry_that_names_no_run_is_refused() {
    let mut bytes = golden("v1", "leader-start");
    // The two runs are one byte each, behind their count.
    let count = bytes.len() - 3;
    bytes.truncate(count + 1);
    bytes[count] = 0;
    assert_eq!(Entry::decode(&bytes), Err(DecodeError::Truncated));
}
