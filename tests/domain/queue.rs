//! The queue: by priority, then by arrival; nobody overtakes.

use super::kit::{Asking, Bench, ask, key, name, release};
use latchd::domain::{Event, HoldKey, Outcome, Refusal, Token};

/// Releases the lock until it is free. Returns the keys in the order in which they held it.
fn order_of_turns(bench: &mut Bench) -> Vec<HoldKey> {
    let mut turns = Vec::new();
    while let Some(view) = bench.table.lock_view(&name("a"), bench.table.now()) {
        turns.push(view.holds[0].key);
        let number = u128::from_be_bytes(view.holds[0].key.0) as u64;
        bench.outcome(release("a", number));
    }
    turns
}

fn keys(numbers: &[u64]) -> Vec<HoldKey> {
    numbers.iter().map(|number| key(*number)).collect()
}

#[test]
fn equal_priorities_are_granted_in_order_of_arrival() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9));
    for number in [3, 1, 2] {
        bench.queued(ask("a", number).lease_ms(1_000).wait_ms(1_000));
    }
    assert_eq!(order_of_turns(&mut bench), keys(&[9, 3, 1, 2]));
}

#[test]
fn higher_priority_is_granted_first() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9));
    for (number, priority) in [(1, 0), (2, -1), (3, 5), (4, 5), (5, i32::MAX), (6, i32::MIN)] {
        bench.queued(ask("a", number).priority(priority).lease_ms(1_000).wait_ms(1_000));
    }
    assert_eq!(order_of_turns(&mut bench), keys(&[9, 5, 3, 4, 1, 2, 6]));
}

#[test]
fn position_counts_waiters_ahead() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9));
    let position = |bench: &mut Bench, number, priority| {
        bench.outcome(ask("a", number).priority(priority).lease_ms(1_000).wait_ms(1_000))
    };
    assert_eq!(position(&mut bench, 1, 0), Outcome::Waiting { position: 0 });
    assert_eq!(position(&mut bench, 2, 0), Outcome::Waiting { position: 1 });
    assert_eq!(position(&mut bench, 3, 1), Outcome::Waiting { position: 0 });
    assert_eq!(position(&mut bench, 4, -1), Outcome::Waiting { position: 3 });
}

#[test]
fn acquire_without_wait_does_not_overtake() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).size(2));
    bench.queued(ask("a", 2).size(5).lease_ms(10).wait_ms(10));
    let Refusal::Held(by) = bench.refused(ask("a", 3).size(2)) else { panic!("it overtook a waiter") };
    assert_eq!(by.waiters, 1);
}

#[test]
fn higher_priority_that_fits_passes_a_waiter_that_does_not() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).size(3));
    bench.queued(ask("a", 2).size(5).lease_ms(10).wait_ms(10));
    bench.acquired(ask("a", 3).size(3).priority(1).lease_ms(10).wait_ms(10));
    bench.acquired(ask("a", 4).size(3).priority(1));
    assert_eq!(bench.seen("a"), (3, 1));
}

#[test]
fn lease_starts_with_the_grant() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    let waiting = bench.queued(ask("a", 2).lease_ms(100).wait_ms(1_000));
    bench.pass_ms(500);
    let (_, events) = bench.run(release("a", 1));
    let granted = events.iter().find_map(|event| match event {
        Event::WaiterGranted { command, grant, .. } if *command == waiting => Some(grant),
        _ => None,
    });
    let grant = granted.expect("it was granted");
    assert_eq!((grant.since.0, grant.deadline.map(|at| at.0)), (500, Some(600)));
}

#[test]
fn wait_ending_together_with_the_blocking_lease_is_granted() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).lease_ms(10));
    bench.queued(ask("a", 2).lease_ms(100).wait_ms(10));
    bench.pass_ms(11).tick();
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn detached_waiter_is_granted_without_waiter_event() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).label("x").lease_ms(10).detached_ms(100));
    let (_, events) = bench.run(release("a", 1));
    assert!(matches!(&events[1], Event::Granted { token: Token(1_001), .. }), "{events:?}");
}

#[test]
fn second_waiter_with_the_same_key_is_refused() {
    let mut bench = Bench::new();
    for lock in ["a", "b"] {
        bench.acquired(ask(lock, 1));
    }
    bench.queued(ask("a", 2).reentrant("x").lease_ms(10).wait_ms(10));
    assert!(matches!(bench.refused(ask("b", 2).lease_ms(10).wait_ms(10)), Refusal::Broken(_)));
    bench.queued(ask("b", 3).lease_ms(10).wait_ms(10));
    assert!(matches!(bench.refused(ask("a", 3).reentrant("x").lease_ms(10).wait_ms(10)), Refusal::Broken(_)));
    assert_eq!((bench.seen("a"), bench.seen("b")), ((1, 1), (1, 1)));
}
