//! Reentry: the same owner label acquires again. The hold stays, is never shortened, and gets a new token.

use super::kit::{Asking, Bench, ask, key, name, release, upgrade};
use super::kit_modes::{LONG_MS, wait, wait_ends};
use latchd::domain::{Event, Outcome, Refusal, Timestamp, Token, WaitEnd};

#[test]
fn reentry_keeps_hold_and_issues_new_token() {
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
fn reentry_never_shortens_the_lease() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).reentrant("x").lease_ms(100));
    assert_eq!(bench.acquired(ask("a", 2).reentrant("x").lease_ms(5)).deadline, Some(Timestamp(100)));
    assert_eq!(bench.acquired(ask("a", 2).reentrant("x")).deadline, None, "without a lease the hold never ends");
    assert_eq!(bench.acquired(ask("a", 2).reentrant("x").lease_ms(5)).deadline, None);
}

#[test]
fn reentry_replaces_metadata_only_if_given() {
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
fn label_without_reentrancy_competes_with_itself() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).label("x"));
    assert!(matches!(bench.refused(ask("a", 2).label("x")), Refusal::Held(_)));
}

#[test]
fn another_label_has_to_wait() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).reentrant("x"));
    assert!(matches!(bench.refused(ask("a", 2).reentrant("y")), Refusal::Held(_)));
}

#[test]
fn session_owns_the_hold_even_with_a_label() {
    let mut bench = Bench::new();
    bench.open(1, 1_000);
    bench.acquired(ask("a", 1).reentrant("x").lease_ms(100));
    let by_session = ask("a", 2).reentrant("x").session(1);
    assert!(matches!(bench.refused(by_session), Refusal::Held(_)), "a session took over the hold of a label");
}

#[test]
fn reentering_waiter_keeps_its_place_and_first_request_is_cancelled() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9));
    let first = bench.queued(ask("a", 1).reentrant("x").lease_ms(100).wait_ms(10));
    bench.queued(ask("a", 2).lease_ms(100).wait_ms(1_000));
    let (outcome, events) = bench.run(ask("a", 3).reentrant("x").lease_ms(100).wait_ms(1_000));
    assert_eq!(outcome, Outcome::Waiting { position: 0 });
    assert_eq!(events, [Event::WaiterEnded { command: first, why: WaitEnd::Cancelled, frozen: None }]);
    bench.pass_ms(11).tick();
    assert_eq!(bench.seen("a"), (1, 2), "the new timeout applies");
    bench.outcome(release("a", 9));
    let view = bench.table.lock_view(&name("a"), bench.table.now()).expect("held");
    assert_eq!(view.holds[0].key, key(3));
}

#[test]
fn reentering_waiter_with_lower_priority_lets_the_next_in() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9).size(2));
    bench.queued(ask("a", 1).reentrant("x").priority(5).lease_ms(100).wait_ms(100));
    bench.queued(ask("a", 2).size(2).lease_ms(100).wait_ms(100));
    assert_eq!(bench.seen("a"), (1, 2));
    bench.queued(ask("a", 3).reentrant("x").priority(-5).lease_ms(100).wait_ms(100));
    assert_eq!(bench.seen("a"), (2, 1), "there was room, and the first waiter fits now");
}

#[test]
fn reentering_without_wait_keeps_the_waiter() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9));
    bench.queued(ask("a", 1).reentrant("x").lease_ms(100).wait_ms(100));
    assert!(matches!(bench.refused(ask("a", 2).reentrant("x").lease_ms(100)), Refusal::Held(_)));
    assert_eq!(bench.seen("a"), (1, 1));
}

#[test]
fn hold_or_wait_of_several_names_is_not_reentered() {
    let mut bench = Bench::new();
    let names = [("a", 1), ("b", 1)];
    bench.acquired(ask("a", 1).names(&names).reentrant("x").lease_ms(100));
    bench.queued(ask("a", 2).names(&names).reentrant("y").lease_ms(100).wait_ms(100));
    for lock in ["a", "b"] {
        let again = ask(lock, 3).reentrant("x").lease_ms(100).metadata(&[("who", "x")]);
        assert!(matches!(bench.refused(again.clone().request(1)), Refusal::Held(_)), "{lock}");
        assert!(matches!(bench.refused(again.names(&[(lock, 1), ("c", 1)])), Refusal::Held(_)), "{lock}");
    }
    bench.queued(ask("b", 4).reentrant("y").lease_ms(100).wait_ms(100));
    assert_eq!((bench.seen("a"), bench.seen("b")), ((1, 1), (1, 2)));
    bench.restored();
    bench.acquired(ask("d", 5).reentrant("x").lease_ms(100));
    assert!(matches!(bench.refused(ask("d", 6).names(&[("d", 1), ("e", 1)]).reentrant("x")), Refusal::Held(_)));
}

#[test]
fn reentry_ends_the_wait_for_an_upgrade_and_lets_the_next_reader_in() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).shared().reentrant("x").lease_ms(LONG_MS));
    bench.acquired(ask("a", 2).shared().lease_ms(LONG_MS));
    assert_eq!(bench.outcome(upgrade("a", 1, 7, Some(LONG_MS))), Outcome::Waiting { position: 0 });
    let upgrading = bench.last_id();
    bench.queued(wait("a", 3).shared());
    let (outcome, events) = bench.run(ask("a", 4).shared().reentrant("x").lease_ms(LONG_MS));
    assert!(matches!(outcome, Outcome::Acquired(_)), "{outcome:?}");
    assert_eq!(wait_ends(&events), [(upgrading, WaitEnd::HoldEnded)]);
    assert_eq!(bench.seen("a"), (3, 0), "nothing is in the way of the third reader");
    bench.restored();
}
