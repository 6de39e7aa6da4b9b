//! Orphaned holds and waiters: kept for the retry of a lost request, and for how long.

use super::kit::{Asking, Bench, RUN, RUN_OF_2, ask, cancel, ended, granted, key, name, release, renew, session};
use latchd::domain::{Acquire, EndReason, Event, ORPHAN_MS, Outcome, Refusal, Timestamp, Token, Undone, WaitEnd};

fn waits(key: u64) -> Acquire {
    ask("a", key).request(1).lease_ms(60_000).wait_ms(60_000)
}

#[test]
fn retry_takes_over_the_place_in_the_queue() {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 1));
    let lost = bench.queued(waits(2));
    bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    let (outcome, events) = bench.pass_ms(5_000).from(RUN_OF_2).run(waits(4));
    assert_eq!(outcome, Outcome::Waiting { position: 0 });
    assert_eq!(events, [Event::WaiterEnded { command: lost, why: WaitEnd::Cancelled, frozen: None }]);
    let retried = bench.last_id();
    let view = bench.table.waiters_view(&name("a"), bench.table.now());
    assert_eq!((view[0].key, view[0].since, view[0].deadline), (key(4), Timestamp(0), Timestamp(65_000)));
    assert_eq!(
        bench.outcome(cancel("a", 2)),
        Outcome::Cancelled(Undone::Nothing),
        "the first attempt no longer matters"
    );
    assert_eq!(granted(&bench.from(RUN).run(release("a", 1)).1), [(retried, true)]);
}

#[test]
fn orphaned_waiter_keeps_its_place_ten_seconds() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    let lost = bench.queued(waits(2));
    let (_, events) = bench.run(cancel("a", 2));
    assert_eq!(events, [Event::WaiterEnded { command: lost, why: WaitEnd::Dropped, frozen: None }]);
    assert_eq!(bench.table.next_deadline(), Some(Timestamp(ORPHAN_MS)));
    bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    assert_eq!(bench.pass_ms(ORPHAN_MS).outcome(waits(4)), Outcome::Waiting { position: 0 });
    bench.outcome(cancel("a", 4));
    bench.pass_ms(ORPHAN_MS + 1).tick();
    assert_eq!(bench.outcome(waits(5)), Outcome::Waiting { position: 1 }, "after that the retry is a new request");
}

#[test]
fn second_cancel_does_not_extend_the_time_for_a_retry() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(waits(2));
    bench.outcome(cancel("a", 2));
    bench.pass_ms(5_000).outcome(cancel("a", 2));
    bench.pass_ms(5_001).tick();
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn orphaned_waiter_still_times_out_earlier() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).request(1).lease_ms(60_000).wait_ms(100));
    bench.outcome(cancel("a", 2));
    bench.pass_ms(101).tick();
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn orphaned_waiter_is_passed_over_and_keeps_its_place() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(waits(2));
    bench.outcome(cancel("a", 2));
    let next = bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    let last = bench.queued(ask("a", 4).lease_ms(60_000).wait_ms(60_000));
    assert_eq!(granted(&bench.pass_ms(4_000).run(release("a", 1)).1), [(next, false)]);
    let again = bench.pass_ms(6_000).queued(waits(5));
    assert_eq!(granted(&bench.run(release("a", 3)).1), [(again, false)], "before waiters that came later");
    assert_eq!(granted(&bench.run(release("a", 5)).1), [(last, false)]);
}

#[test]
fn lock_with_only_orphaned_waiters_is_free() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(waits(2));
    bench.outcome(cancel("a", 2));
    assert_eq!(granted(&bench.run(release("a", 1)).1), []);
    assert_eq!(bench.seen("a"), (0, 1));
    bench.acquired(ask("a", 3));
    bench.outcome(release("a", 3));
    let (outcome, events) = bench.pass_ms(ORPHAN_MS).run(waits(4));
    assert_eq!(outcome, Outcome::Waiting { position: 0 });
    assert_eq!(granted(&events), [(bench.last_id(), false)]);
    assert_eq!(bench.pass_ms(60_000).seen("a"), (1, 0), "the lease started with the retry");
}

#[test]
fn orphaned_hold_is_kept_ten_seconds() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1));
    assert_eq!(ended(&bench.run(cancel("a", 1)).1), []);
    bench.pass_ms(ORPHAN_MS).tick();
    assert_eq!(bench.seen("a"), (1, 0));
    assert_eq!(ended(&bench.pass_ms(1).tick()), [(Token(1_000), EndReason::Expired)]);
}

#[test]
fn retried_hold_without_lease_has_none_again() {
    let mut bench = Bench::new();
    bench.open(1, 60_000);
    bench.acquired(ask("a", 1).session(1).request(1));
    bench.outcome(cancel("a", 1));
    assert_eq!(bench.acquired(ask("a", 2).session(1).request(1)).deadline, None);
    bench.pass_ms(ORPHAN_MS + 1).tick();
    assert_eq!(bench.seen("a"), (1, 0));
    assert!(bench.table.session_view(session(1)).is_some());
}

#[test]
fn late_cancel_of_first_attempt_does_not_end_the_retrys_hold() {
    let mut bench = Bench::new();
    let grant = bench.acquired(ask("a", 1).request(1).lease_ms(60_000));
    bench.acquired(ask("a", 2).request(1).lease_ms(60_000));
    bench.outcome(cancel("a", 1));
    bench.outcome(cancel("a", 2));
    let view = bench.table.lock_view(&name("a"), bench.table.now()).expect("either attempt may have been answered");
    assert_eq!(view.holds[0].deadline, grant.deadline);
}

#[test]
fn lost_retry_is_kept_for_the_next_retry() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1).lease_ms(60_000));
    bench.outcome(cancel("a", 1));
    bench.acquired(ask("a", 2).request(1).lease_ms(60_000));
    bench.outcome(cancel("a", 1));
    assert_eq!(bench.table.next_deadline(), Some(Timestamp(60_000)), "the first attempt is over");
    bench.outcome(cancel("a", 2));
    assert_eq!(bench.table.next_deadline(), Some(Timestamp(ORPHAN_MS)));
}

#[test]
fn renewing_an_orphaned_hold_confirms_it() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1).lease_ms(60_000));
    bench.outcome(cancel("a", 1));
    assert!(matches!(bench.outcome(renew("a", 1, 30_000)), Outcome::Renewed(_)));
    bench.outcome(cancel("a", 1));
    bench.pass_ms(30_000).tick();
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn orphaned_hold_without_lease_refuses_renewal_and_stays() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1));
    bench.outcome(cancel("a", 1));
    assert_eq!(bench.refused(renew("a", 1, 30_000)), Refusal::NoLease);
    bench.pass_ms(ORPHAN_MS + 1).tick();
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn late_cancel_does_not_end_a_reentered_hold() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).reentrant("x").lease_ms(60_000));
    bench.acquired(ask("a", 2).reentrant("x").lease_ms(60_000));
    bench.outcome(cancel("a", 1));
    bench.outcome(cancel("a", 2));
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn expired_orphaned_waiter_is_passed_over() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).lease_ms(20_000));
    bench.queued(waits(2));
    bench.outcome(cancel("a", 2));
    let next = bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    assert_eq!(granted(&bench.pass_ms(20_001).tick()), [(next, false)]);
    assert_eq!(bench.table.counts().idempotency_keys, 0);
}
