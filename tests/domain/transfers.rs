//! Transfer: a hold gets another session, another key and another token, and nobody comes between.

use super::kit::{Asking, Bench, RUN, ask, cancel, close, ended, key, release, release_names, renew, session, upgrade};
use super::kit_modes::{LONG_MS, grants, transfer, wait, wait_ends};
use latchd::domain::{EndReason, Event, IDEMPOTENCY_KEY_KEPT_MS, ORPHAN_MS, Outcome, Refusal, SHARED, WaitEnd};

/// Sessions 1 and 2, of which the first has lock `a` under key 1.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.open(1, LONG_MS);
    bench.open(2, LONG_MS);
    bench.acquired(ask("a", 1).session(1).lease_ms(1_000));
    bench
}

#[test]
fn transferred_hold_has_a_new_key_and_token_and_the_same_lease() {
    let mut bench = bench();
    bench.queued(wait("a", 9));
    let before = bench.table.last_token();
    bench.pass_ms(10);
    let (outcome, events) = bench.run(transfer("a", 1, 2, 5));
    let Outcome::Changed(after) = outcome else { panic!("not transferred: {outcome:?}") };
    assert_eq!((after.key, after.since.0, after.deadline.map(|end| end.0)), (key(5), 10, Some(1_000)));
    assert!(after.token > before);
    let [Event::HoldEnded { token, why, .. }, Event::Granted { replaces, session: to, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*token, *why, *replaces, *to), (before, EndReason::Transferred, None, Some(session(2))));
    for old in [release("a", 1), renew("a", 1, 9), transfer("a", 1, 2, 6), super::kit::force("a", 1)] {
        assert_eq!(bench.refused(old), Refusal::WrongKey, "the old key is dead");
    }
    assert_eq!((bench.table.holds_of(session(1)), bench.table.holds_of(session(2))), (0, 1));
    bench.restored();
    assert_eq!(bench.seen("a"), (1, 1), "who waited waits on");
    assert!(matches!(bench.outcome(renew("a", 5, 9)), Outcome::Renewed(_)));
}

#[test]
fn transferred_hold_ends_with_its_new_session_only() {
    let mut bench = bench();
    bench.changed(transfer("a", 1, 2, 5));
    assert_eq!(ended(&bench.run(close(1)).1), []);
    assert!(bench.is_held_by("a", &[5]));
    let events = bench.run(close(2)).1;
    assert_eq!(ended(&events), [(bench.table.last_token(), EndReason::SessionEnded)]);
    assert_eq!(bench.table.counts().locks, 0);
}

#[test]
fn old_session_may_be_idle_after_a_transfer() {
    let mut bench = Bench::new();
    bench.open(1, 10);
    bench.open(2, LONG_MS);
    bench.acquired(ask("a", 1).session(1));
    bench.changed(transfer("a", 1, 2, 5));
    bench.pass_ms(11).tick();
    assert_eq!((bench.seen("a"), bench.table.is_live(session(1))), ((1, 0), false));
}

#[test]
fn transfer_to_a_session_that_is_not_there_is_refused() {
    let mut bench = bench();
    assert_eq!(bench.refused(transfer("a", 1, 3, 5)), Refusal::TargetUnknown);
    bench.outcome(close(2));
    assert_eq!(bench.refused(transfer("a", 1, 2, 5)), Refusal::TargetUnknown);
    assert_eq!(bench.refused(transfer("a", 5, 1, 6)), Refusal::WrongKey);
    assert_eq!(bench.refused(transfer("b", 1, 1, 6)), Refusal::NoSuchLock);
    assert!(bench.is_held_by("a", &[1]), "nothing has changed");
    bench.open(4, 10);
    bench.pass_ms(11);
    assert_eq!(bench.refused(transfer("a", 1, 4, 5)), Refusal::TargetUnknown, "it has just timed out");
}

#[test]
fn transfer_to_a_session_without_room_is_refused() {
    let mut bench = Bench::with_limits(|limits| limits.holds_per_session_max = 2);
    bench.open(1, LONG_MS);
    bench.open(2, LONG_MS);
    bench.acquired(ask("a", 1).session(1).names(&[("a", 1), ("b", 1)]));
    bench.acquired(ask("c", 2).session(2));
    let full = Refusal::SessionHoldsFull { limit: 2 };
    assert_eq!(bench.refused(transfer("a", 1, 2, 5)), full, "each name counts");
    assert_eq!(bench.changed(transfer("a", 1, 1, 5)).key, key(5), "to itself");
    bench.queued(wait("c", 3).session(2));
    assert_eq!(bench.refused(wait("d", 4).session(2)), full);
}

#[test]
fn several_names_are_transferred_together() {
    let mut bench = Bench::new();
    bench.open(1, LONG_MS);
    bench.open(2, LONG_MS);
    bench.acquired(ask("a", 1).session(1).names(&[("a", 1), ("b", SHARED)]).lease_ms(1_000));
    bench.queued(wait("b", 9));
    let events = bench.run(transfer("b", 1, 2, 5)).1;
    assert_eq!(ended(&events).len(), 2);
    assert!(bench.is_held_by("a", &[5]) && bench.is_held_by("b", &[5]));
    assert_eq!((bench.table.holds_of(session(1)), bench.table.holds_of(session(2))), (0, 2));
    bench.restored();
    bench.outcome(close(1));
    assert_eq!(bench.refused(release_names(&["a", "b"], 1)), Refusal::WrongKey);
    assert!(matches!(bench.outcome(release_names(&["a", "b"], 5)), Outcome::Released { waiter_granted: true, .. }));
}

#[test]
fn transfer_ends_the_upgrade_of_the_hold_and_lets_the_next_reader_in() {
    let mut bench = Bench::new();
    bench.open(2, LONG_MS);
    bench.acquired(ask("a", 1).shared());
    bench.acquired(ask("a", 3).shared());
    let upgrade_wait = bench.queued(upgrade("a", 1, 7, Some(LONG_MS)));
    let reader = bench.queued(wait("a", 4).shared());
    bench.queued(wait("a", 6));
    let (outcome, events) = bench.run(transfer("a", 1, 2, 5));
    assert!(matches!(outcome, Outcome::Changed(_)));
    assert_eq!(wait_ends(&events), [(upgrade_wait, WaitEnd::HoldEnded)]);
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), [reader]);
    assert!(bench.is_held_by("a", &[5, 3, 4]));
    bench.restored();
    bench.queued(upgrade("a", 3, 8, Some(LONG_MS)));
}

#[test]
fn reentry_ends_the_upgrade_of_the_hold_and_lets_the_next_reader_in() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).shared().reentrant("x"));
    bench.acquired(ask("a", 2).shared());
    bench.queued(upgrade("a", 1, 7, Some(LONG_MS)));
    let reader = bench.queued(wait("a", 3).shared());
    let (outcome, events) = bench.run(ask("a", 4).shared().reentrant("x"));
    assert!(matches!(outcome, Outcome::Acquired(_)));
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), [reader]);
    bench.restored();
}

#[test]
fn retry_of_the_acquire_is_not_given_a_transferred_hold() {
    let mut bench = Bench::new();
    bench.open(2, LONG_MS);
    bench.acquired(ask("a", 1).request(1).lease_ms(IDEMPOTENCY_KEY_KEPT_MS * 3));
    bench.changed(transfer("a", 1, 2, 5));
    assert_eq!(bench.refused(ask("a", 3).request(1).lease_ms(LONG_MS)), Refusal::RequestEnded);
    bench.outcome(cancel("a", 1));
    assert!(bench.is_held_by("a", &[5]), "the attempt is of no use any more");
    bench.restored();
    bench.pass_ms(IDEMPOTENCY_KEY_KEPT_MS * 2).tick();
    assert_eq!(bench.table.counts().idempotency_keys, 0);
}

#[test]
fn transfer_of_an_orphaned_hold_gives_it_its_lease() {
    let mut bench = Bench::new();
    bench.open(2, LONG_MS);
    bench.acquired(ask("a", 1).request(1).lease_ms(LONG_MS));
    bench.outcome(cancel("a", 1));
    let grant = bench.changed(transfer("a", 1, 2, 5));
    assert_eq!(grant.deadline.map(|end| end.0), Some(LONG_MS), "who has the key was answered");
    bench.pass_ms(ORPHAN_MS + 1).tick();
    assert!(bench.is_held_by("a", &[5]));
}

#[test]
fn transfer_after_the_last_token_is_refused() {
    let start = latchd::domain::LeaderStart { first_token: latchd::domain::Token::END - 1, ..super::kit::start(RUN) };
    let mut bench = Bench::started(start);
    bench.open(2, LONG_MS);
    bench.acquired(ask("a", 1));
    assert_eq!(bench.refused(transfer("a", 1, 2, 5)), Refusal::TokensExhausted);
    assert!(bench.is_held_by("a", &[1]));
}
