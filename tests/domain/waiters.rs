//! Waiters: listed in order of their turns, and cancelled by label.

use super::kit::{Asking, Bench, ask, cancel_wait, close, granted, key, name, release};
use latchd::domain::{Event, Outcome, Refusal, Timestamp, Undone, WaitEnd, view::WaiterView};

fn seen(bench: &Bench) -> Vec<(u64, u32)> {
    let views = bench.table.waiters_view(&name("a"), bench.table.now());
    let number = |view: &WaiterView| u128::from_be_bytes(view.key.0) as u64;
    views.iter().map(|view| (number(view), view.position)).collect()
}

#[test]
fn waiters_are_listed_in_order_of_their_turns() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.open(1, 60_000);
    bench.pass_ms(5).queued(ask("a", 2).session(1).wait_ms(100));
    bench.queued(ask("a", 3).label("x").priority(7).lease_ms(9).detached_ms(50).metadata(&[("host", "db-1")]));
    bench.queued(ask("a", 4).lease_ms(9).wait_ms(100));
    assert_eq!(seen(&bench), [(3, 0), (2, 1), (4, 2)]);
    let first = &bench.table.waiters_view(&name("a"), bench.table.now())[0];
    assert_eq!((first.key, first.label.as_deref(), first.priority), (key(3), Some("x"), 7));
    assert_eq!((first.since, first.deadline, first.metadata.len()), (Timestamp(5), Timestamp(55), 1));
}

#[test]
fn ended_waiters_are_not_listed() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.open(1, 60_000);
    bench.queued(ask("a", 2).session(1).wait_ms(1_000));
    bench.queued(ask("a", 3).lease_ms(9).wait_ms(10));
    bench.queued(ask("a", 4).lease_ms(9).wait_ms(1_000));
    let later = Timestamp(11);
    let views = bench.table.waiters_view(&name("a"), later);
    assert_eq!(views.iter().map(|view| view.position).collect::<Vec<_>>(), [0, 1]);
    bench.outcome(close(1));
    assert_eq!(seen(&bench), [(3, 0), (4, 1)]);
    assert_eq!(bench.table.waiters_view(&name("b"), later).len(), 0);
}

#[test]
fn label_cancels_its_wait() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    let waiting = bench.queued(ask("a", 2).label("x").lease_ms(9).wait_ms(100));
    bench.queued(ask("a", 3).label("y").lease_ms(9).detached_ms(100));
    let (outcome, events) = bench.run(cancel_wait("a", "x"));
    assert_eq!(outcome, Outcome::Cancelled(Undone::Wait));
    assert_eq!(events, [Event::WaiterEnded { command: waiting, why: WaitEnd::Cancelled, frozen: None }]);
    assert_eq!(bench.refused(cancel_wait("a", "x")), Refusal::NotWaiting);
    assert_eq!(bench.refused(cancel_wait("b", "y")), Refusal::NotWaiting);
    assert_eq!(bench.outcome(cancel_wait("a", "y")), Outcome::Cancelled(Undone::Wait));
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn label_that_holds_has_no_wait_to_cancel() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).label("x"));
    assert_eq!(bench.refused(cancel_wait("a", "x")), Refusal::NotWaiting);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn cancelled_wait_lets_a_waiter_that_fits_be_granted() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).size(2));
    bench.queued(ask("a", 2).size(5).label("x").lease_ms(9).wait_ms(100));
    let next = bench.queued(ask("a", 3).size(2).lease_ms(9).wait_ms(100));
    assert_eq!(granted(&bench.run(cancel_wait("a", "x")).1), [(next, false)]);
    bench.outcome(release("a", 1));
}
