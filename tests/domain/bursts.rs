//! Many things that are due at once expire in bounded batches, but count as ended at once wherever a command looks.

use super::kit::{Asking, Bench, acquire, ask, key, name, session};
use latchd::domain::{Caller, Command, Event, Outcome};

/// Several times more than one entry expires.
const MANY: u64 = 5_000;
/// How many expiries one entry does besides its commands.
const BATCH: std::ops::RangeInclusive<usize> = 500..=1_100;

fn lock(n: u64) -> String {
    format!("lock-{n}")
}

fn ended(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::HoldEnded { .. } | Event::WaiterEnded { .. })).count()
}

#[test]
fn due_leases_expire_in_batches() {
    let mut bench = Bench::new();
    bench.batch((0..MANY).map(|n| acquire(ask(&lock(n), n).lease_ms(10))).collect());
    let first = ended(&bench.pass_ms(11).tick());
    assert!(BATCH.contains(&first), "{first} leases ended in one entry");
    assert!(bench.table.next_deadline().is_some_and(|at| at.is_past(bench.table.now())), "the rest is still due");
    let rest = ended(&bench.expire_all());
    assert_eq!(first + rest, MANY as usize);
    assert_eq!(bench.table.counts().locks, 0);
}

#[test]
fn expired_lock_is_free_before_its_batch_expires() {
    let mut bench = Bench::new();
    bench.batch((0..MANY).map(|n| acquire(ask(&lock(n), n).lease_ms(10))).collect());
    bench.pass_ms(11);
    assert!((0..MANY).all(|n| bench.table.lock_view(&name(&lock(n)), latchd::domain::Timestamp(11)).is_none()));
    // The last lock: no entry has expired it yet.
    let outcome = bench.outcome(ask(&lock(MANY - 1), MANY));
    assert!(matches!(outcome, Outcome::Acquired(_)), "{outcome:?}");
    assert!(bench.table.counts().holds > MANY / 2, "the other locks expired in the same entry");
}

#[test]
fn due_waits_time_out_in_batches() {
    let mut bench = Bench::new();
    bench.batch((0..MANY).map(|n| acquire(ask(&lock(n), n))).collect());
    bench.batch((0..MANY).map(|n| acquire(ask(&lock(n), MANY + n).lease_ms(1).wait_ms(10))).collect());
    let first = ended(&bench.pass_ms(11).tick());
    assert!(BATCH.contains(&first), "{first} waits ended in one entry");
    assert_eq!(first + ended(&bench.expire_all()), MANY as usize);
}

#[test]
fn due_waits_of_long_queues_time_out_lock_by_lock() {
    const QUEUE: u64 = 100;
    let mut bench = Bench::new();
    let holds = (0..50).map(|n| acquire(ask(&lock(n), n)));
    bench.batch(holds.collect());
    let waits = (0..50 * QUEUE).map(|n| acquire(ask(&lock(n / QUEUE), 50 + n).lease_ms(1).wait_ms(10)));
    bench.batch(waits.collect());
    let first = ended(&bench.pass_ms(11).tick());
    assert!(BATCH.contains(&first), "{first} waits ended in one entry");
    assert_eq!(first + ended(&bench.expire_all()), 5_000);
}

#[test]
fn idle_sessions_end_in_batches() {
    let mut bench = Bench::new();
    let ids = (0..MANY).map(|n| latchd::domain::SessionId(u128::from(n).to_be_bytes()));
    bench.batch(
        ids.map(|session| Command::OpenSession {
            session,
            idle_timeout_ms: 10,
            idempotency_key: None,
            caller: Caller::NOBODY,
        })
        .collect(),
    );
    let events = bench.pass_ms(11).tick();
    assert!(BATCH.contains(&events.len()), "{} sessions ended in one entry", events.len());
    let rest = bench.expire_all();
    assert_eq!(events.len() + rest.len(), MANY as usize);
    assert_eq!(bench.table.counts().sessions, 0);
}

#[test]
fn expired_lock_with_thousands_of_holds_is_granted_at_once() {
    let mut bench = Bench::new();
    bench.batch((0..MANY).map(|n| acquire(ask("a", n).size(MANY as u32).lease_ms(10))).collect());
    bench.queued(ask("a", MANY).lease_ms(10).wait_ms(100));
    bench.pass_ms(11).tick();
    let view = bench.table.lock_view(&name("a"), bench.table.now()).expect("it was granted");
    assert_eq!((view.holds.len(), view.holds[0].key), (1, key(MANY)));
}

#[test]
fn idle_table_has_no_next_deadline() {
    let mut bench = Bench::new();
    assert_eq!(bench.table.next_deadline(), None);
    bench.acquired(ask("a", 1));
    assert_eq!(bench.table.next_deadline(), None, "a hold without a lease never comes due");
    bench.open(1, 100);
    assert!(bench.table.next_deadline().is_some());
    bench.pass_ms(101).expire_all();
    assert!(bench.table.session_view(session(1)).is_none());
    assert_eq!(bench.table.next_deadline(), None);
}
