//! Idempotency keys: a retry is given the same hold or session, and never a second one.

use super::kit::{Asking, Bench, acquire, ask, close, key, open, release, request, session};
use latchd::domain::{Caller, Command, IDEMPOTENCY_KEY_KEPT_MS, Outcome, Refusal, Timestamp, Token};

fn open_under(number: u8, id: u8, body: u8) -> Command {
    let (session, request, caller) = (session(number), Some(request(id, body)), Caller::NOBODY);
    Command::OpenSession { session, idle_timeout_ms: 1_000, idempotency_key: request, caller }
}

#[test]
fn retry_gets_the_same_hold_while_it_lives() {
    let mut bench = Bench::new();
    let grant = bench.acquired(ask("a", 1).request(1).lease_ms(100));
    let again = bench.pass_ms(50).acquired(ask("a", 2).request(1).lease_ms(100));
    assert_eq!(again, grant, "its lease is unchanged");
    assert_eq!(bench.table.last_token(), Token(1_000));
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn retry_after_the_hold_ended_is_refused() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1).lease_ms(100));
    bench.outcome(release("a", 1));
    assert_eq!(bench.refused(ask("a", 2).request(1).lease_ms(100)), Refusal::RequestEnded);
    bench.acquired(ask("a", 3).request(2).lease_ms(100));
    assert_eq!(bench.pass_ms(101).refused(ask("a", 4).request(2).lease_ms(100)), Refusal::RequestEnded);
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn key_reused_for_another_request_is_refused() {
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
fn retry_gets_the_same_session_while_it_lives() {
    let mut bench = Bench::new();
    let first = Outcome::SessionOpened { session: session(1) };
    assert_eq!(bench.outcome(open_under(1, 1, 0)), first);
    assert_eq!(bench.pass_ms(900).outcome(open_under(2, 1, 0)), first);
    assert_eq!(bench.table.counts().sessions, 1);
    let view = bench.table.session_view(session(1)).expect("it lives");
    assert_eq!(view.deadline, Some(Timestamp(1_900)), "the retry restarts the idle time");
    bench.outcome(close(1));
    assert_eq!(bench.refused(open_under(3, 1, 0)), Refusal::RequestEnded);
}

#[test]
fn refused_or_timed_out_attempt_leaves_no_record() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    assert!(matches!(bench.refused(ask("a", 2).request(1)), Refusal::Held(_)));
    bench.queued(ask("a", 3).request(1).lease_ms(9).wait_ms(10));
    bench.pass_ms(11).tick();
    assert_eq!(bench.table.counts().idempotency_keys, 0);
    bench.outcome(release("a", 1));
    bench.acquired(ask("a", 4).request(1));
}

#[test]
fn key_is_kept_ten_minutes_after_its_last_use() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).request(1));
    bench.outcome(release("a", 1));
    assert_eq!(bench.table.next_deadline(), Some(Timestamp(IDEMPOTENCY_KEY_KEPT_MS)));
    bench.pass_ms(IDEMPOTENCY_KEY_KEPT_MS);
    assert_eq!(bench.refused(ask("a", 2).request(1)), Refusal::RequestEnded);
    bench.pass_ms(IDEMPOTENCY_KEY_KEPT_MS).tick();
    assert_eq!(bench.table.counts().idempotency_keys, 1);
    bench.pass_ms(1).tick();
    assert_eq!((bench.table.counts().idempotency_keys, bench.table.next_deadline()), (0, None));
    bench.acquired(ask("a", 3).request(1));
}

#[test]
fn key_is_kept_as_long_as_its_hold() {
    let mut bench = Bench::new();
    let grant = bench.acquired(ask("a", 1).request(1));
    bench.pass_ms(3 * IDEMPOTENCY_KEY_KEPT_MS).tick();
    assert_eq!(bench.acquired(ask("a", 2).request(1)), grant);
    bench.pass_ms(3 * IDEMPOTENCY_KEY_KEPT_MS).outcome(release("a", 1));
    bench.tick();
    assert_eq!(bench.table.counts().idempotency_keys, 0, "its last use was long ago");
}

#[test]
fn key_is_kept_ten_minutes_after_a_late_grant() {
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
fn full_key_store_refuses_only_new_keys() {
    let mut bench = Bench::with_limits(|limits| limits.requests_max = 2);
    let grant = bench.acquired(ask("a", 1).request(1));
    bench.acquired(ask("b", 2).request(2));
    assert_eq!(bench.refused(ask("c", 3).request(3)), Refusal::IdempotencyKeysFull { limit: 2 });
    assert_eq!(bench.refused(open_under(1, 3, 0)), Refusal::IdempotencyKeysFull { limit: 2 });
    assert_eq!(bench.acquired(ask("a", 4).request(1)), grant);
    bench.acquired(ask("c", 3));
    bench.open(2, 1_000);
    bench.outcome(release("b", 2));
    assert_eq!(
        bench.refused(ask("c", 3).request(3)),
        Refusal::IdempotencyKeysFull { limit: 2 },
        "recent keys are not evicted"
    );
}

#[test]
fn expired_keys_are_dropped_in_batches() {
    const KEYS: u16 = 3_000;
    let mut bench = Bench::new();
    let id = |n: u16| latchd::domain::IdempotencyId(u128::from(n).to_be_bytes());
    let asks = (0..KEYS).map(|n| {
        let asked = ask(&format!("lock-{n}"), n.into()).request(0).lease_ms(1);
        acquire(
            asked.edit(|ask| ask.idempotency_key = Some(latchd::domain::IdempotencyKey { id: id(n), ..request(0, 0) })),
        )
    });
    bench.batch(asks.collect());
    bench.pass_ms(2).expire_all();
    assert_eq!(bench.table.counts().idempotency_keys, u64::from(KEYS));
    bench.pass_ms(IDEMPOTENCY_KEY_KEPT_MS).tick();
    let left = bench.table.counts().idempotency_keys;
    assert!((1..u64::from(KEYS)).contains(&left), "{left} keys are left after one entry");
    bench.expire_all();
    assert_eq!(bench.table.counts().idempotency_keys, 0);
}

#[test]
fn reentry_ends_the_earlier_keys_result() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).reentrant("x").request(1).lease_ms(1_000));
    let newer = bench.acquired(ask("a", 2).reentrant("x").request(2).lease_ms(1_000));
    assert_eq!(newer.key, key(1));
    assert_eq!(bench.refused(ask("a", 3).reentrant("x").request(1).lease_ms(1_000)), Refusal::RequestEnded);
    assert_eq!(bench.acquired(ask("a", 4).reentrant("x").request(2).lease_ms(1_000)), newer);
}

#[test]
fn end_of_session_ends_its_keys_results() {
    let mut bench = Bench::new();
    bench.outcome(open(1, 1_000));
    bench.outcome(open(2, 1_000));
    bench.acquired(ask("a", 1).session(1).request(1));
    bench.outcome(close(1));
    assert_eq!(bench.refused(ask("a", 2).session(2).request(1)), Refusal::RequestEnded);
}
