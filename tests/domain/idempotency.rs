//! Idempotency keys: the same request is given the same, and nothing a second time.

use super::kit::{Asking, Bench, acquire, ask, close, key, open, release, request, session};
use latchd::domain::{Caller, Command, IDEMPOTENCY_KEY_KEPT_MS, Outcome, Refusal, Timestamp, Token};

fn open_under(number: u8, id: u8, body: u8) -> Command {
    let (session, request, caller) = (session(number), Some(request(id, body)), Caller::NOBODY);
    Command::OpenSession { session, idle_timeout_ms: 1_000, idempotency_key: request, caller }
}

#[test]
fn the_same_hold_with_the_same_token_while_it_lives() {
    let mut bench = Bench::new();
    let grant = bench.acquired(ask("a", 1).request(1).lease_ms(100));
    let again = bench.pass_ms(50).acquired(ask("a", 2).request(1).lease_ms(100));
    assert_eq!(again, grant, "its lease goes on as it was");
    assert_eq!(bench.table.last_token(), Token(1_000));
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn a_hold_that_has_ended_is_not_granted_again() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1).lease_ms(100));
    bench.outcome(release("a", 1));
    assert_eq!(bench.refused(ask("a", 2).request(1).lease_ms(100)), Refusal::RequestEnded);
    bench.acquired(ask("a", 3).request(2).lease_ms(100));
    assert_eq!(bench.pass_ms(101).refused(ask("a", 4).request(2).lease_ms(100)), Refusal::RequestEnded);
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn another_body_another_lock_or_another_verb_is_refused() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1));
    assert_eq!(
        bench.refused(ask("a", 2).edit(|ask| ask.idempotency_key = Some(request(1, 9)))),
        Refusal::RequestReused
    );
    assert_eq!(bench.refused(ask("b", 2).request(1)), Refusal::RequestReused);
    assert_eq!(bench.refused(open_under(1, 1, 0)), Refusal::RequestReused);
    bench.outcome(open_under(2, 2, 0));
    assert_eq!(bench.refused(ask("b", 2).request(2)), Refusal::RequestReused);
    bench.outcome(release("a", 1));
    assert_eq!(
        bench.refused(ask("a", 2).edit(|ask| ask.idempotency_key = Some(request(1, 9)))),
        Refusal::RequestReused
    );
}

#[test]
fn the_same_session_while_it_lives() {
    let mut bench = Bench::new();
    let first = Outcome::SessionOpened { session: session(1) };
    assert_eq!(bench.outcome(open_under(1, 1, 0)), first);
    assert_eq!(bench.pass_ms(900).outcome(open_under(2, 1, 0)), first);
    assert_eq!(bench.table.counts().sessions, 1);
    let view = bench.table.session_view(session(1)).expect("it lives");
    assert_eq!(view.deadline, Some(Timestamp(1_900)), "its client counts from this answer");
    bench.outcome(close(1));
    assert_eq!(bench.refused(open_under(3, 1, 0)), Refusal::RequestEnded);
}

#[test]
fn a_refused_or_timed_out_attempt_leaves_nothing() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    assert!(matches!(bench.refused(ask("a", 2).request(1)), Refusal::Held(_)));
    bench.queued(ask("a", 3).request(1).lease_ms(9).wait_ms(10));
    bench.pass_ms(11).tick();
    assert_eq!(bench.table.counts().requests, 0);
    bench.outcome(release("a", 1));
    bench.acquired(ask("a", 4).request(1));
}

#[test]
fn a_key_is_kept_ten_minutes_from_its_last_use() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1));
    bench.outcome(release("a", 1));
    assert_eq!(bench.table.next_deadline(), Some(Timestamp(IDEMPOTENCY_KEY_KEPT_MS)));
    bench.pass_ms(IDEMPOTENCY_KEY_KEPT_MS);
    assert_eq!(bench.refused(ask("a", 2).request(1)), Refusal::RequestEnded);
    bench.pass_ms(IDEMPOTENCY_KEY_KEPT_MS).tick();
    assert_eq!(bench.table.counts().requests, 1);
    bench.pass_ms(1).tick();
    assert_eq!((bench.table.counts().requests, bench.table.next_deadline()), (0, None));
    bench.acquired(ask("a", 3).request(1));
}

#[test]
fn a_key_is_kept_as_long_as_its_hold() {
    let mut bench = Bench::new();
    let grant = bench.acquired(ask("a", 1).request(1));
    bench.pass_ms(3 * IDEMPOTENCY_KEY_KEPT_MS).tick();
    assert_eq!(bench.acquired(ask("a", 2).request(1)), grant);
    bench.pass_ms(3 * IDEMPOTENCY_KEY_KEPT_MS).outcome(release("a", 1));
    bench.tick();
    assert_eq!(bench.table.counts().requests, 0, "its last use was long ago");
}

#[test]
fn a_key_counts_from_the_grant_after_a_long_wait() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).request(1).lease_ms(1_000).wait_ms(3 * IDEMPOTENCY_KEY_KEPT_MS));
    bench.pass_ms(2 * IDEMPOTENCY_KEY_KEPT_MS).outcome(release("a", 1));
    bench.outcome(release("a", 2));
    bench.pass_ms(IDEMPOTENCY_KEY_KEPT_MS).tick();
    let again = ask("a", 3).request(1).lease_ms(1_000).wait_ms(3 * IDEMPOTENCY_KEY_KEPT_MS);
    assert_eq!(bench.refused(again), Refusal::RequestEnded);
}

#[test]
fn a_full_store_refuses_new_keys_only() {
    let mut bench = Bench::with_limits(|limits| limits.requests_max = 2);
    let grant = bench.acquired(ask("a", 1).request(1));
    bench.acquired(ask("b", 2).request(2));
    assert_eq!(bench.refused(ask("c", 3).request(3)), Refusal::RequestsFull { limit: 2 });
    assert_eq!(bench.refused(open_under(1, 3, 0)), Refusal::RequestsFull { limit: 2 });
    assert_eq!(bench.acquired(ask("a", 4).request(1)), grant);
    bench.acquired(ask("c", 3));
    bench.open(2, 1_000);
    bench.outcome(release("b", 2));
    assert_eq!(bench.refused(ask("c", 3).request(3)), Refusal::RequestsFull { limit: 2 }, "a young key is kept");
}

#[test]
fn a_burst_of_ended_keys_is_dropped_in_batches() {
    const KEYS: u16 = 3_000;
    let mut bench = Bench::new();
    let id = |n: u16| latchd::domain::RequestId(u128::from(n).to_be_bytes());
    let asks = (0..KEYS).map(|n| {
        let asked = ask(&format!("lock-{n}"), n.into()).request(0).lease_ms(1);
        acquire(
            asked.edit(|ask| ask.idempotency_key = Some(latchd::domain::IdempotencyKey { id: id(n), ..request(0, 0) })),
        )
    });
    bench.batch(asks.collect());
    bench.pass_ms(2).settle();
    assert_eq!(bench.table.counts().requests, u64::from(KEYS));
    bench.pass_ms(IDEMPOTENCY_KEY_KEPT_MS).tick();
    let left = bench.table.counts().requests;
    assert!((1..u64::from(KEYS)).contains(&left), "{left} keys are left after one entry");
    bench.settle();
    assert_eq!(bench.table.counts().requests, 0);
}

#[test]
fn asking_again_under_the_label_ends_what_the_key_before_was_given() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).reentrant("x").request(1).lease_ms(1_000));
    let newer = bench.acquired(ask("a", 2).reentrant("x").request(2).lease_ms(1_000));
    assert_eq!(newer.key, key(1));
    assert_eq!(bench.refused(ask("a", 3).reentrant("x").request(1).lease_ms(1_000)), Refusal::RequestEnded);
    assert_eq!(bench.acquired(ask("a", 4).reentrant("x").request(2).lease_ms(1_000)), newer);
}

#[test]
fn the_end_of_a_session_ends_what_was_given_to_it() {
    let mut bench = Bench::new();
    bench.outcome(open(1, 1_000));
    bench.outcome(open(2, 1_000));
    bench.acquired(ask("a", 1).session(1).request(1));
    bench.outcome(close(1));
    assert_eq!(bench.refused(ask("a", 2).session(2).request(1)), Refusal::RequestEnded);
}
