//! Several names at once: a hold of them begins, is renewed and ends as one.

use super::kit::{Asking, Bench, ask, caller, cancel, close, ended, force, key, name, release, release_names, renew};
use super::kit_modes::{LONG_MS, grants, renew_names, wait, wait_ends};
use latchd::domain::{Command, EndReason, Event, Field, Outcome, Proof, Refusal, SHARED, Token, WaitEnd};

const AB: [(&str, u32); 2] = [("a", 1), ("b", 1)];
const BA: [(&str, u32); 2] = [("b", 1), ("a", 1)];

fn held_as_ab(bench: &Bench, key_numbers: &[u64]) -> bool {
    bench.is_held_by("a", key_numbers) && bench.is_held_by("b", key_numbers)
}

fn names(of: &[&str]) -> Vec<latchd::domain::Name> {
    of.iter().map(|of| name(of)).collect()
}

#[test]
fn free_names_are_granted_at_once_with_one_token() {
    let mut bench = Bench::new();
    let (outcome, events) = bench.run(ask("a", 1).names(&[("a", 1), ("b", SHARED), ("c", 3)]));
    let Outcome::Acquired(grant) = outcome else { panic!("not acquired: {outcome:?}") };
    let granted = events.iter().filter_map(|event| match event {
        Event::Granted { name, token, .. } => Some((name.as_str(), *token)),
        _ => None,
    });
    assert_eq!(granted.collect::<Vec<_>>(), ["a", "b", "c"].map(|name| (name, grant.token)));
    assert!(matches!(bench.refused(ask("a", 2)), Refusal::Held(_)));
    bench.acquired(ask("b", 2).shared());
    bench.acquired(ask("c", 2).size(3));
    assert_eq!(bench.acquired(ask("d", 3)).token, Token(grant.token.0 + 3), "one token for all names");
    bench.restored();
}

#[test]
fn names_of_which_one_is_held_are_not_granted() {
    for held in ["a", "b"] {
        let mut bench = Bench::new();
        bench.acquired(ask(held, 1));
        assert!(matches!(bench.refused(ask("a", 2).names(&AB)), Refusal::Held(_)));
        assert_eq!(bench.table.counts().holds, 1, "nothing of it is taken");
        let waiting = bench.queued(wait("a", 2).names(&AB));
        assert!(bench.is_held_by(held, &[1]));
        assert_eq!((bench.seen("a").1, bench.seen("b").1), (1, 1));
        bench.restored();
        let (_, events) = bench.run(release(held, 1));
        assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), [waiting]);
        assert!(held_as_ab(&bench, &[2]));
        bench.restored();
    }
}

#[test]
fn waiter_of_names_is_granted_once_it_heads_all_queues() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.acquired(ask("b", 2));
    bench.queued(wait("b", 3));
    bench.queued(wait("a", 4).names(&AB));
    bench.queued(wait("a", 5));
    bench.outcome(release("a", 1));
    assert_eq!(bench.seen("a"), (0, 2), "the names are not granted in parts, and nobody overtakes");
    assert!(matches!(bench.refused(ask("a", 6)), Refusal::Held(_)));
    bench.outcome(release("b", 2));
    assert!(bench.is_held_by("b", &[3]) && bench.is_held_by("a", &[]));
    bench.restored();
    bench.outcome(release("b", 3));
    assert!(held_as_ab(&bench, &[4]));
    bench.outcome(release_names(&["b", "a"], 4));
    assert!(bench.is_held_by("a", &[5]) && bench.is_held_by("b", &[]));
}

#[test]
fn refusal_of_a_free_name_tells_who_waits() {
    let mut bench = Bench::new();
    bench.acquired(ask("b", 1));
    bench.queued(wait("a", 2).names(&AB).metadata(&[("who", "x")]));
    let Refusal::Held(by) = bench.refused(ask("a", 3)) else { panic!("it overtook") };
    assert_eq!((by.token, by.waiters, by.deadline), (Token(0), 1, None));
    assert_eq!(by.metadata.iter().collect::<Vec<_>>(), [("who", "x")]);
}

/// Releases what is held until nothing is. Returns the keys that held each lock, in order.
fn turns(bench: &mut Bench) -> [Vec<u64>; 2] {
    let mut turns = [Vec::new(), Vec::new()];
    loop {
        let first = |lock: &str| bench.holders(lock).first().map(|key| u128::from_be_bytes(key.0) as u64);
        let Some((of, number)) = ["a", "b"].iter().find_map(|lock| Some((*lock, first(lock)?))) else { return turns };
        let is_of_both = number == OF_BOTH;
        turns[0].extend((of == "a" || is_of_both).then_some(number));
        turns[1].extend((of == "b" || is_of_both).then_some(number));
        assert_eq!(held_as_ab(bench, &[OF_BOTH]), is_of_both, "both or none");
        let released = if is_of_both { release_names(&["a", "b"], number) } else { release(of, number) };
        assert!(matches!(bench.outcome(released), Outcome::Released { .. }));
        bench.restored();
    }
}

const OF_BOTH: u64 = 3;

#[test]
fn names_and_two_plain_locks_in_every_order_are_granted_in_that_order() {
    let ask_of = |number| match number {
        1 => wait("a", 1),
        2 => wait("b", 2),
        _ => wait("b", OF_BOTH).names(&BA),
    };
    for order in [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let mut bench = Bench::new();
        bench.acquired(ask("a", 8));
        bench.acquired(ask("b", 9));
        order.iter().for_each(|number| _ = bench.queued(ask_of(*number)));
        let [of_a, of_b] = turns(&mut bench);
        let expected =
            |first, other| [first].into_iter().chain(order.into_iter().filter(move |number| *number != other));
        assert_eq!(of_a, expected(8, 2).collect::<Vec<_>>(), "{order:?}");
        assert_eq!(of_b, expected(9, 1).collect::<Vec<_>>(), "{order:?}");
    }
}

#[test]
fn names_in_opposite_orders_never_block_each_other() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.acquired(ask("b", 2));
    bench.queued(wait("a", 3).names(&AB));
    bench.queued(wait("b", 4).names(&BA));
    bench.outcome(release("b", 2));
    bench.outcome(release("a", 1));
    assert!(held_as_ab(&bench, &[3]));
    bench.outcome(release_names(&["a", "b"], 3));
    assert!(held_as_ab(&bench, &[4]));
}

#[test]
fn names_are_released_and_renewed_as_a_whole() {
    let mut bench = Bench::new();
    bench.acquired(wait("a", 1).names(&AB));
    let other_names = Refusal::OtherNames { names: names(&["a", "b"]).into() };
    for wrong in [&["a"][..], &["b"], &["a", "a"], &["a", "c"], &["a", "b", "c"], &["a", "b", "a"]] {
        assert_eq!(bench.refused(release_names(wrong, 1)), other_names, "{wrong:?}");
        assert_eq!(bench.refused(renew_names(wrong, 1, 5)), other_names, "{wrong:?}");
    }
    for single in ["a", "b"] {
        assert_eq!(bench.refused(release(single, 1)), other_names);
        assert_eq!(bench.refused(renew(single, 1, 5)), other_names);
        let proof = Proof::TakenBy(latchd::domain::Dialect::DoubleDutch);
        assert_eq!(bench.refused(Command::Release { name: name(single), session: None, proof }), other_names);
    }
    assert_eq!(bench.refused(release_names(&["a", "b"], 2)), Refusal::WrongKey);
    assert_eq!(bench.refused(release_names(&["c", "a"], 1)), Refusal::NoSuchLock);
    assert!(held_as_ab(&bench, &[1]));
    assert!(matches!(bench.outcome(renew_names(&["b", "a"], 1, 5)), Outcome::Renewed(_)));
    bench.restored();
    let all = names(&["a", "b"]);
    let (outcome, events) = bench.run(release_names(&["b", "a"], 1));
    assert_eq!(outcome, Outcome::Released { waiter_granted: false, names: all });
    assert_eq!(ended(&events).len(), 2, "one end for each name");
    assert_eq!(bench.table.counts().locks, 0);
}

#[test]
fn hold_of_one_name_is_released_by_that_name() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    let no_names = Refusal::OtherNames { names: Box::default() };
    assert_eq!(bench.refused(release_names(&["a", "b"], 1)), no_names);
    let proof = Proof::OfNames { key: key(1), names: names(&["b"]).into() };
    assert_eq!(bench.refused(Command::Release { name: name("a"), session: None, proof }), no_names);
    assert!(matches!(bench.outcome(release_names(&["a"], 1)), Outcome::Released { .. }));
}

#[test]
fn forced_release_of_one_name_ends_all() {
    for forced in ["a", "b"] {
        let mut bench = Bench::new();
        let grant = bench.acquired(ask("a", 1).names(&AB));
        bench.queued(wait("a", 2));
        bench.queued(wait("b", 3));
        let (outcome, events) = bench.run(force(forced, 1));
        assert_eq!(outcome, Outcome::Released { waiter_granted: true, names: names(&["a", "b"]) });
        assert_eq!(ended(&events), [(grant.token, EndReason::Forced); 2]);
        assert!(bench.is_held_by("a", &[2]) && bench.is_held_by("b", &[3]));
        bench.restored();
    }
}

#[test]
fn lease_or_session_of_names_ends_for_all() {
    let mut bench = Bench::new();
    bench.open(1, LONG_MS);
    bench.acquired(ask("a", 1).names(&AB).lease_ms(10));
    bench.queued(wait("b", 2).names(&BA).session(1));
    bench.queued(wait("b", 3));
    assert_eq!(bench.table.session_view(super::kit::session(1)).map(|view| view.waiters), Some(2));
    let events = bench.pass_ms(11).tick();
    assert_eq!(ended(&events).iter().map(|(_, why)| *why).collect::<Vec<_>>(), [EndReason::Expired; 2]);
    assert!(held_as_ab(&bench, &[2]));
    assert_eq!(bench.table.holds_of(super::kit::session(1)), 2);
    bench.restored();
    let events = bench.run(close(1)).1;
    assert_eq!(ended(&events).iter().map(|(_, why)| *why).collect::<Vec<_>>(), [EndReason::SessionEnded; 2]);
    assert!(bench.is_held_by("a", &[]) && bench.is_held_by("b", &[3]));
    assert_eq!(bench.table.counts().locks, 1);
}

#[test]
fn wait_for_names_ends_in_all_queues() {
    type End = fn(&mut Bench) -> Vec<Event>;
    let ends: [(End, WaitEnd); 3] = [
        (|bench| bench.run(cancel("a", 2)).1, WaitEnd::Dropped),
        (|bench| bench.run(close(1)).1, WaitEnd::SessionEnded),
        (|bench| bench.pass_ms(51).tick(), WaitEnd::TimedOut),
    ];
    for (end, why) in ends {
        let mut bench = Bench::new();
        bench.open(1, LONG_MS);
        bench.acquired(ask("b", 1));
        let waiting = bench.queued(ask("a", 2).names(&AB).session(1).wait_ms(50));
        bench.queued(wait("a", 3));
        let events = end(&mut bench);
        assert_eq!(wait_ends(&events), [(waiting, why)]);
        assert!(bench.is_held_by("a", &[3]) && bench.seen("b") == (1, 0), "who was behind is granted: {why:?}");
        bench.restored();
    }
}

#[test]
fn names_twice_or_too_many_or_bad_are_refused() {
    let mut bench = Bench::with_limits(|limits| limits.names_max = 2);
    assert_eq!(bench.refused(ask("a", 1).names(&[("a", 1), ("a", 1)])), Refusal::NameTwice);
    assert_eq!(bench.refused(ask("a", 1).names(&[("a", 1), ("a", SHARED)])), Refusal::NameTwice);
    let too_many = Refusal::LimitExceeded { field: Field::Names, limit: 2 };
    assert_eq!(bench.refused(ask("a", 1).names(&[("a", 1), ("b", 1), ("c", 1)])), too_many);
    assert_eq!(bench.refused(ask("a", 1).names(&[("a", 1), ("b\0", 1)])), Refusal::NulInName);
    assert_eq!(bench.refused(ask("a", 1).names(&[("a", 1), ("b", 0)])), Refusal::ZeroSize);
    assert!(matches!(bench.refused(ask("c", 1).names(&AB)), Refusal::Broken(_)), "found under another name");
    assert_eq!(bench.table.counts().locks, 0);
    bench.acquired(ask("a", 1).names(&AB));
}

#[test]
fn limits_count_each_name() {
    let mut bench = Bench::with_limits(|limits| (limits.holds_max, limits.holds_per_session_max) = (3, 2));
    bench.open(1, LONG_MS);
    bench.acquired(ask("c", 1).session(1));
    assert_eq!(bench.refused(ask("a", 2).session(1).names(&AB)), Refusal::SessionHoldsFull { limit: 2 });
    bench.acquired(ask("a", 2).names(&AB));
    assert_eq!(bench.refused(ask("d", 3)), Refusal::HoldsFull { limit: 3 });
    assert_eq!(bench.refused(wait("a", 3)), Refusal::HoldsFull { limit: 3 });
    let mut bench = Bench::with_limits(|limits| limits.waiters_per_lock_max = 1);
    bench.acquired(ask("b", 1));
    bench.queued(wait("b", 2));
    assert_eq!(bench.refused(wait("a", 3).names(&AB)), Refusal::QueueFull { limit: 1 }, "of the second name");
    let mut bench = Bench::with_limits(|limits| (limits.holds_max, limits.credential_share) = (18, 500));
    let many: Vec<(String, u32)> = (0..9).map(|number| (format!("n{number}"), 1)).collect();
    let of = |count| many[..count].iter().map(|(name, size)| (name.as_str(), *size)).collect::<Vec<_>>();
    bench.acquired(ask("n0", 1).names(&of(8)).by(caller(1, 0)));
    assert!(matches!(
        bench.refused(ask("x", 2).names(&[("x", 1), ("y", 1)]).by(caller(1, 0))),
        Refusal::ShareFull { .. }
    ));
    bench.acquired(ask("x", 2).by(caller(1, 0)));
}
