//! Snapshots of impossible states are refused, with the position of the error.

use super::kit::{Asking, Bench, FIRST_TOKEN, ask, request, snapshot};
use latchd::base::codec::DecodeError;
use latchd::domain::{Caller, Command, SessionId, SnapshotError, Table};

/// The position of the counters in the header: after version, time and epoch, of one byte each.
const NEXT_TOKEN_AT: usize = 3;
/// The tokens of these tests take two bytes.
const NEXT_WAITER_AT: usize = NEXT_TOKEN_AT + 2;

/// A table without locks and sessions ends with eight zeros: seven counts, and that no sweep is under way.
const COUNTS: usize = 8;

fn restore(bytes: &[u8]) -> Result<Table, DecodeError> {
    Table::restore(&mut &*bytes).map_err(|error| match error {
        SnapshotError::Damaged { error, .. } => error,
        SnapshotError::Io(error) => panic!("{error}"),
    })
}

fn error(bytes: &[u8]) -> DecodeError {
    restore(bytes).err().expect("an error")
}

/// A table with one lock: all before its record, and the record.
fn one_lock() -> (Vec<u8>, Vec<u8>) {
    let mut bench = Bench::new();
    let length = bench.snapshot().len();
    bench.acquired(ask("a", 1));
    let mut bytes = bench.snapshot();
    let record = bytes.split_off(length);
    (bytes, record)
}

#[test]
fn duplicate_lock_or_session_is_refused() {
    let (mut before, record) = one_lock();
    assert!(restore(&[&before[..], &record].concat()).is_ok());
    *before.last_mut().expect("the count of locks") = 2;
    assert_eq!(error(&[&before[..], &record, &record].concat()), DecodeError::Twice("a lock"));

    let mut bench = Bench::new();
    let mut before = bench.snapshot();
    before.truncate(before.len() - COUNTS);
    bench.open(1, 100);
    let bytes = bench.snapshot();
    let record = &bytes[before.len() + 1..bytes.len() - (COUNTS - 1)];
    assert_eq!(error(&[&before[..], &[2], record, record, &[0; COUNTS - 1]].concat()), DecodeError::Twice("a session"));
}

#[test]
fn token_beyond_the_counter_is_refused() {
    let (before, record) = one_lock();
    let mut bytes = [before, record].concat();
    assert_eq!(bytes[NEXT_TOKEN_AT], (FIRST_TOKEN + 1) as u8 | 0x80);
    bytes[NEXT_TOKEN_AT] -= 1;
    assert_eq!(error(&bytes), DecodeError::Range);
}

#[test]
fn counter_near_its_end_is_refused() {
    let mut bytes = Bench::new().snapshot();
    let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    bytes.splice(NEXT_WAITER_AT..NEXT_WAITER_AT + 1, largest);
    assert_eq!(error(&bytes), DecodeError::Range);
}

#[test]
fn truncated_snapshot_is_refused() {
    let (before, record) = one_lock();
    let bytes = [before, record].concat();
    for length in 0..bytes.len() {
        assert_eq!(error(&bytes[..length]), DecodeError::Truncated, "{length} of {} bytes pass", bytes.len());
    }
    assert_eq!(error(&[&bytes[..], &[0]].concat()), DecodeError::Trailing(1));
}

#[test]
fn error_names_the_damaged_byte() {
    let mut bytes = snapshot(&Table::default());
    bytes[0] = 99;
    let told = Table::restore(&mut bytes.as_slice()).err().expect("an unknown version").to_string();
    assert_eq!(told, "is damaged at byte 1: unknown snapshot version 99");
}

#[test]
fn ended_session_with_a_request_is_refused() {
    let mut bench = Bench::new();
    let (session, idempotency_key) = (SessionId([9; 16]), Some(request(77, 1)));
    let caller = Caller::NOBODY;
    bench.run(Command::OpenSession { session, idle_timeout_ms: 1_000, idempotency_key, caller });
    let mut bytes = bench.snapshot();
    assert!(restore(&bytes).is_ok());
    let id = (0..bytes.len()).find(|at| bytes[*at..].starts_with(&session.0)).expect("its record");
    // Two numbers, each with its last byte below 0x80, stand between the id and the flag.
    let numbers = (id + 16..bytes.len()).filter(|at| bytes[*at] < 0x80).nth(1).expect("the idle timeout and the end");
    assert_eq!(bytes[numbers + 1], 0, "it has not ended");
    bytes[numbers + 1] = 1;
    assert_eq!(error(&bytes), DecodeError::Unmatched("an ended session"));
}

#[test]
fn request_and_its_result_must_match() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(77));
    let bytes = bench.snapshot();
    let places: Vec<usize> = (0..bytes.len() - 16).filter(|at| bytes[*at..*at + 16] == [77; 16]).collect();
    assert_eq!(places.len(), 2, "in its record and in the hold");
    assert!(restore(&bytes).is_ok());
    for place in places {
        let mut bytes = bytes.clone();
        bytes[place] = 78;
        assert_eq!(error(&bytes), DecodeError::Unmatched("an idempotency key"));
    }
}

const IN_PARTS: DecodeError = DecodeError::Unmatched("a hold or waiter of several names");

/// All before the records of the two locks of this table, and the records.
fn two_locks(bench: &Bench) -> (Vec<u8>, [Vec<u8>; 2]) {
    let length = Bench::new().snapshot().len();
    let mut before = bench.snapshot();
    let records = before.split_off(length);
    assert_eq!(before.pop(), Some(2), "the count of locks");
    let restored = |at: &usize| restore(&[&before[..], &[2], &records[*at..], &records[..*at]].concat()).is_ok();
    let middle = (1..records.len()).find(restored).expect("one begins where the other ends");
    let (first, second) = records.split_at(middle);
    (before, [first.to_vec(), second.to_vec()])
}

/// The table with these records of locks.
fn with(before: &[u8], records: &[&[u8]]) -> Vec<u8> {
    [before, &[records.len() as u8], &records.concat()].concat()
}

#[test]
fn hold_of_several_names_must_be_in_each_of_its_locks_once() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).names(&[("a", 1), ("b", 1)]));
    let (before, [a, b]) = two_locks(&bench);
    assert!(restore(&with(&before, &[&b, &a])).is_ok());
    assert_eq!(error(&with(&before, &[&a])), IN_PARTS);
    assert_eq!(error(&with(&before, &[&b])), IN_PARTS);
    // A name of one letter, two sizes and the count of holds are before the hold; counts of zero behind.
    let twice = |record: &[u8]| {
        let (head, hold, end) = (&record[..4], &record[5..record.len() - 2], &record[record.len() - 2..]);
        assert_eq!((record[4], end), (1, &[0, 0][..]));
        [head, &[2], hold, hold, end].concat()
    };
    assert_eq!(error(&with(&before, &[&twice(&a)])), IN_PARTS, "twice in one, and not in the other");
    assert_eq!(error(&with(&before, &[&twice(&a), &b])), IN_PARTS);
    assert_eq!(error(&with(&before, &[&a, &twice(&b)])), IN_PARTS);
}

#[test]
fn parts_of_a_hold_of_several_names_must_be_equal() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).names(&[("a", 1), ("b", 1)]).lease_ms(100));
    let (before, [a, b]) = two_locks(&bench);
    // The key, and the end of the lease behind key, token and time.
    for at in [5, 5 + 15, 5 + 16 + 2 + 1 + 1] {
        let mut other = b.clone();
        other[at] ^= 1;
        assert_eq!(error(&with(&before, &[&a, &other])), IN_PARTS, "byte {at}");
    }
}

#[test]
fn waiter_for_several_names_must_be_in_each_of_its_queues() {
    let mut bench = Bench::new();
    bench.acquired(ask("b", 9));
    bench.queued(ask("a", 0x55).names(&[("a", 1), ("b", 1)]).lease_ms(100).wait_ms(100));
    let (before, [a, b]) = two_locks(&bench);
    assert!(restore(&with(&before, &[&b, &a])).is_ok());
    assert_eq!(error(&with(&before, &[&a])), IN_PARTS);
    assert_eq!(error(&with(&before, &[&b])), IN_PARTS);
    let key = (0..a.len()).find(|at| a[*at] == 0x55).expect("the key of the wait");
    let mut other = a.clone();
    other[key] ^= 1;
    assert_eq!(error(&with(&before, &[&other, &b])), IN_PARTS, "another key");
}
