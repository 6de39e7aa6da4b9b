//! Asking again under the same owner label: the hold stays and is never shortened, the token is new.

use super::kit::{Asking, Bench, ask, key, name, release};
use latchd::domain::{Event, Outcome, Refusal, Timestamp, Token, WaitEnd};

#[test]
fn asking_again_keeps_the_hold_and_gives_a_new_token() {
    let mut bench = Bench::new();
    let first = bench.acquired(ask("a", 1).reentrant("x").lease_ms(100));
    bench.pass_ms(50);
    let again = bench.acquired(ask("a", 2).reentrant("x").lease_ms(100));
    assert_eq!((again.key, again.since), (first.key, first.since));
    assert_eq!(again.deadline, Some(Timestamp(150)));
    assert_eq!(again.token, Token(first.token.0 + 1));
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn asking_again_never_shortens() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).reentrant("x").lease_ms(100));
    assert_eq!(bench.acquired(ask("a", 2).reentrant("x").lease_ms(5)).deadline, Some(Timestamp(100)));
    assert_eq!(bench.acquired(ask("a", 2).reentrant("x")).deadline, None, "no lease is the longest");
    assert_eq!(bench.acquired(ask("a", 2).reentrant("x").lease_ms(5)).deadline, None);
}

#[test]
fn metadata_is_replaced_only_by_new_metadata() {
    let mut bench = Bench::new();
    let metadata =
        |bench: &Bench| bench.table.lock_view(&name("a"), Timestamp(0)).expect("held").holds[0].metadata.clone();
    bench.acquired(ask("a", 1).reentrant("x").metadata(&[("job", "1")]));
    bench.acquired(ask("a", 1).reentrant("x"));
    assert_eq!(metadata(&bench).iter().collect::<Vec<_>>(), [("job", "1")]);
    bench.acquired(ask("a", 1).reentrant("x").metadata(&[("job", "2")]));
    assert_eq!(metadata(&bench).iter().collect::<Vec<_>>(), [("job", "2")]);
}

#[test]
fn without_the_rule_a_label_competes_with_itself() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).label("x"));
    assert!(matches!(bench.refused(ask("a", 2).label("x")), Refusal::Held(_)));
}

#[test]
fn another_label_waits_its_turn() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).reentrant("x"));
    assert!(matches!(bench.refused(ask("a", 2).reentrant("y")), Refusal::Held(_)));
}

#[test]
fn a_session_owns_its_hold_even_when_a_label_is_given() {
    let mut bench = Bench::new();
    bench.open(1, 1_000);
    bench.acquired(ask("a", 1).reentrant("x").lease_ms(100));
    let by_session = ask("a", 2).reentrant("x").session(1);
    assert!(matches!(bench.refused(by_session), Refusal::Held(_)), "a session took the hold of a label");
}

#[test]
fn a_waiter_that_asks_again_keeps_its_place_and_its_first_request_is_told() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9));
    let first = bench.queued(ask("a", 1).reentrant("x").lease_ms(100).wait_ms(10));
    bench.queued(ask("a", 2).lease_ms(100).wait_ms(1_000));
    let (outcome, events) = bench.run(ask("a", 3).reentrant("x").lease_ms(100).wait_ms(1_000));
    assert_eq!(outcome, Outcome::Queued { position: 0 });
    assert_eq!(events, [Event::WaiterEnded { command: first, why: WaitEnd::Cancelled }]);
    bench.pass_ms(11).tick();
    assert_eq!(bench.seen("a"), (1, 2), "the new timeout counts");
    bench.outcome(release("a", 9));
    let view = bench.table.lock_view(&name("a"), bench.table.now()).expect("held");
    assert_eq!(view.holds[0].key, key(3));
}

#[test]
fn a_waiter_that_steps_back_lets_the_next_in_at_once() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9).size(2));
    bench.queued(ask("a", 1).reentrant("x").priority(5).lease_ms(100).wait_ms(100));
    bench.queued(ask("a", 2).size(2).lease_ms(100).wait_ms(100));
    assert_eq!(bench.seen("a"), (1, 2));
    bench.queued(ask("a", 3).reentrant("x").priority(-5).lease_ms(100).wait_ms(100));
    assert_eq!(bench.seen("a"), (2, 1), "the room was free, and its head is now one who fits");
}

#[test]
fn a_waiter_that_asks_again_without_waiting_keeps_waiting() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9));
    bench.queued(ask("a", 1).reentrant("x").lease_ms(100).wait_ms(100));
    assert!(matches!(bench.refused(ask("a", 2).reentrant("x").lease_ms(100)), Refusal::Held(_)));
    assert_eq!(bench.seen("a"), (1, 1));
}
