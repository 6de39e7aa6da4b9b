//! Upgrade and downgrade: the key stays, the token is new, and nobody comes between.

use super::kit::{Asking, Bench, RUN, ask, cancel, close, downgrade, ended, force, key, name, release, renew, upgrade};
use super::kit_modes::{LONG_MS, grants, guarded, wait, wait_ends};
use latchd::domain::{EndReason, Event, Field, Incarnation, Outcome, Refusal, SHARED, Token, Undone, WaitEnd};

const WAIT: Option<u64> = Some(LONG_MS);

/// Two readers with the keys 1 and 2.
fn readers() -> Bench {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).shared().lease_ms(LONG_MS));
    bench.acquired(ask("a", 2).shared().lease_ms(LONG_MS));
    bench
}

fn size(bench: &Bench) -> u32 {
    bench.table.lock_view(&name("a"), bench.table.now()).expect("it is held").size
}

#[test]
fn only_reader_is_upgraded_at_once_with_a_new_token() {
    let mut bench = Bench::new();
    let before = bench.acquired(ask("a", 1).shared().lease_ms(LONG_MS));
    let (outcome, events) = bench.run(upgrade("a", 1, 7, None));
    let Outcome::Changed(after) = outcome else { panic!("not upgraded: {outcome:?}") };
    assert_eq!((after.key, after.since, after.deadline), (before.key, before.since, before.deadline));
    assert!(after.token > before.token);
    assert!(
        matches!(&events[..], [Event::Granted { token, replaces: Some(old), .. }] if *token == after.token && *old == before.token)
    );
    assert!(matches!(bench.refused(ask("a", 3).shared()), Refusal::Held(_)), "it is alone");
    assert_eq!(bench.changed(upgrade("a", 1, 8, None)), after, "again: the answer may be lost");
    bench.restored();
    assert!(matches!(bench.outcome(release("a", 1)), Outcome::Released { .. }));
}

#[test]
fn upgrade_waits_before_all_others() {
    let mut bench = readers();
    bench.queued(wait("a", 3).priority(i32::MAX));
    assert_eq!(bench.outcome(wait("a", 6).priority(i32::MAX)), Outcome::Waiting { position: 1 });
    assert!(matches!(bench.refused(upgrade("a", 1, 7, None)), Refusal::Held(_)), "without a wait it is refused");
    assert_eq!(bench.outcome(upgrade("a", 1, 7, WAIT)), Outcome::Waiting { position: 0 });
    let waiting = bench.last_id();
    bench.queued(wait("a", 4).shared().priority(i32::MAX));
    assert!(matches!(bench.refused(ask("a", 5).shared().priority(i32::MAX)), Refusal::Held(_)));
    bench.restored();
    let (_, events) = bench.run(release("a", 2));
    let granted = grants(&events);
    assert_eq!(granted.iter().map(|(command, grant)| (*command, grant.key)).collect::<Vec<_>>(), [(waiting, key(1))]);
    assert_eq!((bench.seen("a"), size(&bench)), ((1, 3), 1));
    bench.restored();
    bench.outcome(release("a", 1));
    assert!(bench.is_held_by("a", &[3]));
}

#[test]
fn upgrade_is_ahead_of_a_request_that_a_dead_node_lost() {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 9));
    bench.queued(wait("a", 8).request(1));
    bench.outcome(release("a", 9));
    bench.lead_with(Incarnation(7));
    bench.from(Incarnation(7));
    bench.acquired(ask("a", 1).shared().lease_ms(LONG_MS));
    bench.acquired(ask("a", 2).shared().lease_ms(LONG_MS));
    bench.queued(wait("a", 6).request(1));
    bench.queued(upgrade("a", 1, 7, WAIT));
    bench.outcome(release("a", 2));
    assert_eq!((bench.holders("a"), size(&bench)), (vec![key(1)], 1), "both would wait for each other");
    bench.outcome(release("a", 1));
    assert!(bench.is_held_by("a", &[6]));
}

#[test]
fn second_upgrade_is_refused_at_once() {
    let mut bench = readers();
    bench.queued(upgrade("a", 1, 7, WAIT));
    assert_eq!(bench.refused(upgrade("a", 2, 8, WAIT)), Refusal::UpgradePending, "neither could succeed");
    assert_eq!(bench.refused(upgrade("a", 2, 8, None)), Refusal::UpgradePending);
    assert_eq!(bench.seen("a"), (2, 1));
    bench.outcome(cancel("a", 7));
    bench.queued(upgrade("a", 2, 8, WAIT));
}

#[test]
fn upgrade_ends_with_its_hold() {
    type End = fn(&mut Bench) -> Vec<Event>;
    let ends: [(End, EndReason); 4] = [
        (|bench| bench.pass_ms(21).tick(), EndReason::Expired),
        (|bench| bench.run(release("a", 1)).1, EndReason::Released),
        (|bench| bench.run(force("a", 1)).1, EndReason::Forced),
        (|bench| bench.run(close(1)).1, EndReason::SessionEnded),
    ];
    for (end, why) in ends {
        let mut bench = Bench::new();
        bench.open(1, LONG_MS);
        let hold = bench.acquired(ask("a", 1).shared().session(1).lease_ms(20));
        bench.acquired(ask("a", 2).shared());
        let waiting = bench.queued(upgrade("a", 1, 7, WAIT));
        bench.queued(wait("a", 3).shared());
        let events = end(&mut bench);
        assert_eq!(ended(&events), [(hold.token, why)]);
        assert_eq!(wait_ends(&events), [(waiting, WaitEnd::HoldEnded)], "{why:?}");
        assert!(bench.is_held_by("a", &[2, 3]), "the next reader need not wait any more: {why:?}");
        bench.restored();
    }
}

#[test]
fn cancelled_or_late_upgrade_leaves_the_hold() {
    type End = fn(&mut Bench) -> Vec<Event>;
    let ends: [(End, WaitEnd); 2] = [
        (|bench| bench.run(cancel("a", 7)).1, WaitEnd::Dropped),
        (|bench| bench.pass_ms(51).tick(), WaitEnd::TimedOut),
    ];
    for (end, why) in ends {
        let mut bench = readers();
        let waiting = bench.queued(upgrade("a", 1, 7, Some(50)));
        bench.queued(wait("a", 3).shared());
        let events = end(&mut bench);
        assert_eq!(wait_ends(&events), [(waiting, why)]);
        assert!(bench.is_held_by("a", &[1, 2, 3]), "{why:?}");
        assert_eq!(bench.outcome(cancel("a", 7)), Outcome::Cancelled(Undone::Nothing), "a late cancel finds nothing");
        assert!(matches!(bench.outcome(renew("a", 1, 5)), Outcome::Renewed(_)));
        bench.restored();
    }
}

#[test]
fn upgrade_that_was_granted_is_not_cancelled_by_its_attempt() {
    let mut bench = readers();
    bench.queued(upgrade("a", 1, 7, WAIT));
    bench.outcome(release("a", 2));
    bench.outcome(cancel("a", 7));
    assert_eq!((bench.holders("a"), size(&bench)), (vec![key(1)], 1));
}

#[test]
fn retry_takes_over_the_wait_of_the_same_holder() {
    let mut bench = readers();
    let first = bench.queued(upgrade("a", 1, 7, WAIT));
    let (outcome, events) = bench.run(upgrade("a", 1, 8, WAIT));
    let second = bench.last_id();
    assert_eq!((outcome, wait_ends(&events)), (Outcome::Waiting { position: 0 }, vec![(first, WaitEnd::Cancelled)]));
    assert_eq!(bench.seen("a"), (2, 1));
    bench.outcome(cancel("a", 7));
    assert_eq!(bench.seen("a"), (2, 1), "the first attempt is gone already");
    bench.restored();
    let (_, events) = bench.run(release("a", 2));
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), [second]);
}

#[test]
fn hold_that_is_no_reader_is_not_upgraded() {
    let mut bench = Bench::new();
    let election = |ask: latchd::domain::Acquire| ask.lease_ms(LONG_MS).terms(|terms| terms.value = Some("x".into()));
    bench.acquired(ask("counted", 1).size(3));
    bench.acquired(ask("of-names", 2).names(&[("of-names", SHARED), ("other", SHARED)]));
    bench.acquired(election(ask("elected", 3)));
    for (lock, number) in [("counted", 1), ("of-names", 2), ("other", 2), ("elected", 3)] {
        assert_eq!(bench.refused(upgrade(lock, number, 7, WAIT)), Refusal::NotConvertible, "{lock}");
        assert_eq!(bench.refused(downgrade(lock, number)), Refusal::NotConvertible, "{lock}");
    }
    assert_eq!(bench.refused(upgrade("none", 1, 7, WAIT)), Refusal::NoSuchLock);
    assert_eq!(bench.refused(upgrade("counted", 9, 7, WAIT)), Refusal::WrongKey);
    assert_eq!(bench.refused(downgrade("counted", 9)), Refusal::WrongKey);
    assert_eq!(bench.table.last_token(), Token(1_002));
}

#[test]
fn limits_hold_for_a_waiting_upgrade() {
    let limited = |edit: fn(&mut latchd::domain::Limits)| {
        let mut bench = Bench::with_limits(edit);
        bench.acquired(ask("a", 1).shared());
        bench.acquired(ask("a", 2).shared());
        bench
    };
    let too_long = Refusal::LimitExceeded { field: Field::Wait, limit: 5 };
    assert_eq!(limited(|limits| limits.wait_ms_max = 5).refused(upgrade("a", 1, 7, Some(6))), too_long);
    assert_eq!(
        limited(|limits| limits.holds_max = 2).refused(upgrade("a", 1, 7, WAIT)),
        Refusal::HoldsFull { limit: 2 }
    );
    let mut bench = limited(|limits| limits.holds_per_session_max = 1);
    bench.open(1, LONG_MS);
    bench.acquired(ask("a", 3).shared().session(1));
    assert_eq!(bench.refused(upgrade("a", 3, 7, WAIT)), Refusal::SessionHoldsFull { limit: 1 });
    let mut bench = limited(|limits| limits.waiters_per_lock_max = 1);
    bench.queued(wait("a", 3));
    assert_eq!(bench.refused(upgrade("a", 1, 7, WAIT)), Refusal::QueueFull { limit: 1 });
}

#[test]
fn upgrade_with_the_key_of_another_wait_is_refused() {
    let mut bench = readers();
    bench.queued(wait("a", 3));
    assert!(matches!(bench.refused(upgrade("a", 1, 3, WAIT)), Refusal::Broken(_)));
    bench.queued(upgrade("a", 1, 7, WAIT));
    assert!(matches!(bench.refused(guarded("a", 7)), Refusal::Broken(_)));
}

#[test]
fn downgrade_lets_readers_in_at_once_and_keeps_the_key() {
    let mut bench = Bench::new();
    let before = bench.acquired(ask("a", 1).lease_ms(LONG_MS));
    let readers = [2, 3].map(|number| bench.queued(wait("a", number).shared()));
    bench.queued(wait("a", 4));
    bench.queued(wait("a", 5).shared());
    let (outcome, events) = bench.run(downgrade("a", 1));
    let Outcome::Changed(after) = outcome else { panic!("not downgraded: {outcome:?}") };
    assert_eq!((after.key, after.deadline), (before.key, before.deadline));
    assert!(after.token > before.token);
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), readers);
    assert!(bench.is_held_by("a", &[1, 2, 3]));
    assert_eq!(bench.changed(downgrade("a", 1)), after, "a shared hold stays as it is");
    bench.restored();
    for number in 1..=3 {
        bench.outcome(release("a", number));
    }
    assert!(bench.is_held_by("a", &[4]));
}

#[test]
fn hold_changes_back_and_forth_and_is_released_by_its_first_key() {
    let mut bench = Bench::new();
    let first = bench.acquired(ask("a", 1).request(1));
    let tokens: Vec<Token> = (0..3)
        .flat_map(|_| [bench.changed(downgrade("a", 1)).token, bench.changed(upgrade("a", 1, 7, None)).token])
        .collect();
    assert!(tokens.is_sorted_by(|one, next| one < next) && tokens[0] > first.token);
    assert_eq!(bench.acquired(ask("a", 8).request(1)).token, tokens[5], "a retry is given the hold as it is");
    bench.restored();
    bench.outcome(release("a", 1));
    assert_eq!((bench.seen("a"), bench.refused(ask("a", 9).request(1))), ((0, 0), Refusal::RequestEnded));
}

#[test]
fn nothing_changes_after_the_last_token() {
    let start = latchd::domain::LeaderStart { first_token: Token::END - 2, ..super::kit::start(RUN) };
    let mut bench = Bench::started(start);
    bench.acquired(ask("a", 1).shared());
    bench.acquired(ask("b", 2));
    assert_eq!(bench.refused(upgrade("a", 1, 7, None)), Refusal::TokensExhausted);
    assert_eq!(bench.refused(downgrade("b", 2)), Refusal::TokensExhausted);
    assert_eq!(size(&bench), SHARED);
}

#[test]
fn orphaned_hold_that_changes_its_mode_gets_its_lease() {
    let changes: [(bool, fn() -> latchd::domain::Command); 4] = [
        (true, || upgrade("a", 1, 7, None)),
        (true, || downgrade("a", 1)),
        (false, || upgrade("a", 1, 7, None)),
        (false, || downgrade("a", 1)),
    ];
    for (is_shared, change) in changes {
        let mut bench = Bench::new();
        let ask = ask("a", 1).request(1).lease_ms(LONG_MS);
        bench.acquired(if is_shared { ask.shared() } else { ask });
        bench.outcome(cancel("a", 1));
        let grant = bench.changed(change());
        assert_eq!(grant.deadline.map(|end| end.0), Some(LONG_MS), "who has the key was answered");
        bench.pass_ms(latchd::domain::ORPHAN_MS + 1).tick();
        assert!(bench.is_held_by("a", &[1]));
    }
}
