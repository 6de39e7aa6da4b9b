//! The start of a leadership: time does not jump, idle times restart, requests of dead incarnations leave.

use super::kit::{Asking, Bench, FIRST_TOKEN, RUN, ask, name, session, start};
use latchd::domain::{Event, Incarnation, LeaderStart, Limits, Refusal, Table, Timestamp, Token, WaitEnd};

const NEXT_RUN: Incarnation = Incarnation(2);

#[test]
fn time_continues_over_a_leader_change() {
    let mut bench = Bench::new();
    bench.pass_ms(500).acquired(ask("a", 1).lease_ms(10));
    let start = LeaderStart { first_token: 1, ..start(NEXT_RUN) };
    let behind = latchd::domain::Entry { at: Timestamp(3), epoch: 0, body: latchd::domain::Body::LeaderStart(start) };
    bench.table.apply(behind).expect("a leadership is always accepted");
    assert_eq!(bench.table.now(), Timestamp(500), "an earlier timestamp does not turn time back");
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn lagging_timestamp_does_not_turn_time_back() {
    let mut bench = Bench::new();
    bench.pass_ms(500).tick();
    let body = latchd::domain::Body::Batch { touches: Vec::new(), more_touches: false, commands: Vec::new() };
    let entry = latchd::domain::Entry { at: Timestamp(3), epoch: bench.table.epoch(), body };
    bench.table.apply(entry).expect("the present epoch");
    assert_eq!(bench.table.now(), Timestamp(500));
}

#[test]
fn new_leadership_restarts_every_idle_time() {
    let mut bench = Bench::new();
    bench.open(1, 100);
    bench.pass_ms(1_000).lead_with(NEXT_RUN);
    assert_eq!(bench.table.session_view(session(1)).expect("it lives").deadline, Some(Timestamp(1_100)));
    bench.pass_ms(100).tick();
    assert!(bench.table.session_view(session(1)).is_some());
    bench.pass_ms(1).tick();
    assert!(bench.table.session_view(session(1)).is_none());
}

#[test]
fn only_attached_waiters_of_dead_incarnations_leave() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    let dead = bench.queued(ask("a", 2).lease_ms(100).wait_ms(100));
    bench.queued(ask("a", 3).label("x").lease_ms(100).detached_ms(100));
    let events = bench.lead_with(NEXT_RUN);
    assert_eq!(events, [Event::WaiterEnded { command: dead, why: WaitEnd::Cancelled, frozen: None }]);
    assert_eq!(bench.seen("a"), (1, 1));
}

#[test]
fn attached_waiters_of_living_incarnations_stay() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).lease_ms(100).wait_ms(100));
    assert_eq!(bench.lead_with(RUN), []);
    assert_eq!(bench.seen("a"), (1, 1));
}

#[test]
fn dead_waiter_is_not_granted_while_another_leaves() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).size(3));
    bench.queued(ask("a", 2).lease_ms(100).wait_ms(100));
    bench.queued(ask("a", 3).size(3).lease_ms(100).wait_ms(100));
    bench.queued(ask("a", 4).size(3).label("x").lease_ms(100).detached_ms(100));
    let events = bench.lead_with(NEXT_RUN);
    let granted: Vec<&Event> =
        events.iter().filter(|event| matches!(event, Event::WaiterGranted { .. } | Event::Granted { .. })).collect();
    assert!(matches!(granted[..], [Event::Granted { .. }]), "{granted:?}");
    assert_eq!(bench.seen("a"), (2, 0));
}

#[test]
fn session_is_idle_after_its_waiter_died() {
    let mut bench = Bench::new();
    bench.open(1, 100);
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).session(1).wait_ms(10_000));
    bench.pass_ms(1_000).lead_with(NEXT_RUN);
    assert_eq!(bench.table.session_view(session(1)).expect("it lives").deadline, Some(Timestamp(1_100)));
}

#[test]
fn holds_survive_a_leader_change_unchanged() {
    let mut bench = Bench::new();
    let grant = bench.acquired(ask("a", 1).lease_ms(100));
    bench.lead_with(NEXT_RUN);
    let view = bench.table.lock_view(&name("a"), bench.table.now()).expect("held");
    let hold = &view.holds[0];
    assert_eq!((hold.key, hold.token, hold.deadline), (grant.key, grant.token, grant.deadline));
}

#[test]
fn new_leadership_raises_epoch_and_sets_limits() {
    let mut bench = Bench::new();
    let epoch = bench.table.epoch();
    let limits = Limits { size_max: 1, ..super::kit::limits() };
    bench.lead(LeaderStart { first_token: 1, limits, ..start(RUN) });
    assert_eq!(bench.table.epoch(), epoch + 1);
    assert_eq!(*bench.table.limits(), limits);
    assert!(matches!(bench.refused(ask("a", 1).size(2)), Refusal::LimitExceeded { limit: 1, .. }));
}

#[test]
fn lost_log_end_never_reissues_tokens_or_event_ids() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    let cut = bench.snapshot();
    let lost: Vec<Token> = (2..30).map(|key| bench.acquired(ask(&format!("a{key}"), key)).token).collect();
    bench.table = Table::restore(&mut cut.as_slice()).expect("it can be read");
    let clock = FIRST_TOKEN + 1_000;
    let start = LeaderStart { first_token: clock, ..start(RUN) };
    let entry = latchd::domain::Entry { at: Timestamp(0), epoch: 0, body: latchd::domain::Body::LeaderStart(start) };
    bench.table.apply_at(7, entry).expect("a leadership is always accepted");
    assert_eq!(bench.table.event_origin() + 7, clock, "the id of this entry's events");
    let next = bench.acquired(ask("b", 40)).token;
    assert!(lost.iter().all(|lost| *lost < next), "{next:?} after {lost:?}");
}

#[test]
fn clock_that_went_back_does_not_lower_tokens() {
    let mut bench = Bench::new();
    assert_eq!(bench.acquired(ask("a", 1)).token, Token(FIRST_TOKEN));
    for first_token in [0, 1, FIRST_TOKEN] {
        bench.lead(LeaderStart { first_token, ..start(RUN) });
    }
    assert_eq!(bench.table.last_token(), Token(FIRST_TOKEN));
    assert_eq!(bench.table.event_origin(), FIRST_TOKEN);
}

/// 2^10 for each millisecond: the year 2250.
#[test]
fn absurd_clock_does_not_use_up_tokens() {
    let mut bench = Bench::new();
    for first_token in [8_835_955_200_000 << 10, Token::END - 1, Token::END, u64::MAX] {
        bench.lead(LeaderStart { first_token, ..start(RUN) });
        assert_eq!(bench.table.last_token(), Token(FIRST_TOKEN - 1));
        assert_eq!(bench.table.event_origin(), FIRST_TOKEN);
    }
    assert_eq!(bench.acquired(ask("a", 1)).token, Token(FIRST_TOKEN));
}
