//! A backup becomes the start of a new service.

use super::kit::{Asking, Bench, RUN, RUN_OF_2, ask, cancel, node_up, release, request, session, snapshot, start};
use latchd::domain::{Caller, Command, FEATURE_LEVEL, Incarnation, LeaderStart, Refusal, Table, Token};

const JUMP: u64 = 1_000_000_000;
const RANDOM: u64 = 0xabcd_0123_4567_89ab;

/// Holds of a session, of a bearer and of a dead waiter, one waiter, and idempotency keys of each.
fn backup() -> Bench {
    let mut bench = Bench::cluster();
    let (session_1, request_9, caller) = (session(1), Some(request(9, 0)), Caller::NOBODY);
    let open = Command::OpenSession { session: session_1, idle_timeout_ms: 60_000, idempotency_key: request_9, caller };
    bench.outcome(open);
    bench.acquired(ask("a", 1).session(1).request(1));
    bench.acquired(ask("b", 2).lease_ms(60_000).request(2));
    bench.queued(ask("b", 3).lease_ms(60_000).wait_ms(60_000).request(3));
    bench.acquired(ask("c", 4));
    bench.from(RUN_OF_2).queued(ask("c", 5).lease_ms(60_000).wait_ms(60_000));
    bench.outcome(release("c", 4));
    bench.acquired(ask("d", 6).ldlm(3).session(1));
    bench
}

/// Begins from the backup and starts a leadership. Restored on the way, because the snapshot must contain all of it.
fn begin(first_token: u64, keep_sessions: bool, keep_holds: bool) -> Bench {
    let mut bench = backup();
    bench.table.begin_from_backup(first_token, RANDOM, keep_sessions, keep_holds);
    bench.table = Table::restore(&mut snapshot(&bench.table).as_slice()).expect("it can be read");
    bench.lead(LeaderStart { first_token: 1, ..start(Incarnation(7)) });
    bench.from(Incarnation(7));
    bench
}

fn counts(bench: &Bench) -> (u64, u64, u64) {
    let counts = bench.table.counts();
    (counts.sessions, counts.holds, counts.waiters)
}

#[test]
fn sessions_and_holds_are_kept_as_asked_and_waiters_dropped() {
    assert_eq!(counts(&backup()), (1, 4, 1));
    assert_eq!(counts(&begin(0, true, true)), (1, 4, 0));
    assert_eq!(counts(&begin(0, true, false)), (1, 0, 0));
    assert_eq!(counts(&begin(0, false, true)), (0, 2, 0), "a session's hold does not outlive it");
    assert_eq!(counts(&begin(0, false, false)), (0, 0, 0));
}

#[test]
fn tokens_continue_far_above_the_backup() {
    let last = backup().table.last_token().0;
    assert_eq!(begin(0, true, true).table.last_token(), Token(last + JUMP));
    assert_eq!(begin(1 << 51, true, true).table.last_token(), Token((1 << 51) - 1));
    let mut bench = begin(u64::MAX, true, true);
    assert_eq!(bench.refused(ask("z", 99)), Refusal::TokensExhausted);
}

#[test]
fn nodes_are_forgotten_and_epoch_continues() {
    let (before, mut table) = (backup().table.epoch(), backup().table);
    table.begin_from_backup(0, RANDOM, true, true);
    assert!(table.nodes().is_empty());
    assert_eq!((table.epoch(), table.confirms_deliveries()), (before, false));
    let mut bench = begin(0, true, true);
    assert_eq!(bench.outcome(node_up(2, Incarnation(8))), latchd::domain::Outcome::NodeRecorded);
}

#[test]
fn new_service_has_its_own_table_id_at_any_level() {
    for level in [1, 3, FEATURE_LEVEL] {
        let mut bench = Bench::started(LeaderStart { level, ..start(RUN) });
        bench.table.begin_from_backup(0, RANDOM, true, true);
        let again = Table::restore(&mut snapshot(&bench.table).as_slice()).expect("it can be read");
        assert_eq!((again.table_id(), again.event_origin()), (0x0123_4567_89ab, 0), "level {level}");
    }
}

#[test]
fn unconfirmed_hold_becomes_confirmed() {
    let bench = begin(0, true, true);
    assert_eq!(bench.seen("c"), (1, 0), "its client may have been told after the backup");
}

#[test]
fn retries_get_the_answers_from_before_the_backup() {
    let mut bench = begin(0, true, true);
    assert_eq!(bench.acquired(ask("b", 30).lease_ms(60_000).request(2)).token, Token(1_001));
    bench.acquired(ask("z", 31).request(3));
    let mut bench = begin(0, false, false);
    assert_eq!(bench.refused(ask("b", 30).lease_ms(60_000).request(2)), Refusal::RequestEnded);
    assert_eq!(bench.refused(ask("a", 30).request(1)), Refusal::RequestEnded);
}

#[test]
fn no_deadline_is_left_over() {
    let mut bench = begin(0, false, true);
    bench.outcome(release("b", 2));
    bench.outcome(cancel("c", 5));
    bench.pass_ms(100_000_000).expire_all();
    assert_eq!(bench.table.next_deadline(), None);
    assert_eq!(bench.table.counts(), Default::default());
}

#[test]
fn table_without_leader_can_begin_from_backup() {
    let mut table = Table::default();
    table.begin_from_backup(5, RANDOM, true, true);
    assert_eq!(table.last_token(), Token(JUMP - 1));
}
