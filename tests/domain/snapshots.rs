//! Snapshots of impossible states are refused, with the position of the error.

use super::kit::{Asking, Bench, FIRST_TOKEN, ask, request, snapshot};
use latchd::base::codec::DecodeError;
use latchd::domain::{Caller, Command, SessionId, SnapshotError, Table};

/// The position of the counters in the header: after version, time and epoch, of one byte each.
const NEXT_TOKEN_AT: usize = 3;
/// The tokens of these tests take two bytes.
const NEXT_WAITER_AT: usize = NEXT_TOKEN_AT + 2;

/// A table without locks and sessions ends with five counts of zero.
const COUNTS: usize = 5;

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
    assert_eq!(error(&[&before[..], &[2], record, record, &[0, 0, 0, 0]].concat()), DecodeError::Twice("a session"));
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
    bytes[0] = 9;
    let told = Table::restore(&mut bytes.as_slice()).err().expect("an unknown version").to_string();
    assert_eq!(told, "is damaged at byte 1: unknown snapshot version 9");
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
