//! Cancel: undoes an acquire, whether it waits or was granted.

use super::kit::{Asking, Bench, ask, cancel, ended, key, name, release};
use latchd::domain::{EndReason, Event, Outcome, Undone, WaitEnd};

#[test]
fn cancelled_waiter_leaves_queue_and_is_notified() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    let waiting = bench.queued(ask("a", 2).lease_ms(10).wait_ms(10));
    let (outcome, events) = bench.run(cancel("a", 2));
    assert_eq!(outcome, Outcome::Cancelled(Undone::Wait));
    assert_eq!(events, [Event::WaiterEnded { command: waiting, why: WaitEnd::Dropped, frozen: None }]);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn cancelled_hold_is_released_and_granted_to_next_waiter() {
    let mut bench = Bench::new();
    let token = bench.acquired(ask("a", 1)).token;
    bench.queued(ask("a", 2).lease_ms(10).wait_ms(10));
    let (outcome, events) = bench.run(cancel("a", 1));
    assert_eq!(outcome, Outcome::Cancelled(Undone::Hold(token)));
    assert_eq!(ended(&events), [(token, EndReason::Cancelled)]);
    let view = bench.table.lock_view(&name("a"), bench.table.now()).expect("the waiter has it");
    assert_eq!((view.holds[0].key, view.waiters), (key(2), 0));
}

#[test]
fn cancelled_wait_that_was_granted_is_released() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).lease_ms(10).wait_ms(10));
    bench.outcome(release("a", 1));
    assert!(matches!(bench.outcome(cancel("a", 2)), Outcome::Cancelled(Undone::Hold(_))));
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn cancelling_an_unknown_key_changes_nothing() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).lease_ms(10).wait_ms(10));
    for command in [cancel("a", 3), cancel("b", 1), cancel("b", 2)] {
        let (outcome, events) = bench.run(command);
        assert_eq!((outcome, events), (Outcome::Cancelled(Undone::Nothing), vec![]));
    }
    assert_eq!(bench.seen("a"), (1, 1));
}

#[test]
fn cancelled_first_waiter_lets_the_next_in() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).size(2));
    bench.queued(ask("a", 2).size(3).lease_ms(10).wait_ms(10));
    bench.queued(ask("a", 3).size(2).lease_ms(10).wait_ms(10));
    assert_eq!(bench.seen("a"), (1, 2), "the first waiter wants another size, and nobody overtakes it");
    bench.outcome(cancel("a", 2));
    assert_eq!(bench.seen("a"), (2, 0));
}

#[test]
fn timed_out_first_waiter_lets_the_next_in() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).size(2));
    let waiting = bench.queued(ask("a", 2).size(3).lease_ms(10).wait_ms(10));
    bench.queued(ask("a", 3).size(2).lease_ms(10).wait_ms(20));
    let events = bench.pass_ms(11).tick();
    assert_eq!(events[0], Event::WaiterEnded { command: waiting, why: WaitEnd::TimedOut, frozen: None });
    assert_eq!(bench.seen("a"), (2, 0));
}

#[test]
fn detached_wait_ends_without_event() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).label("x").lease_ms(10).detached_ms(10));
    assert_eq!(bench.pass_ms(11).tick(), []);
    assert_eq!(bench.seen("a"), (1, 0));
}
