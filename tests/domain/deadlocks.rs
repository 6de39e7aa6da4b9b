//! Deadlocks: a guarded wait that would close a cycle of waits is refused, and the cycle is named.

use super::kit::{Asking, Bench, RUN, ask, cancel, release, session, start, upgrade};
use super::kit_modes::{LONG_MS, guarded, wait};
use latchd::domain::{Acquire, Blocked, Event, LeaderStart, Outcome, Party, Refusal, SHARED};

/// A table with the sessions 1 to 5.
fn bench() -> Bench {
    let mut bench = Bench::new();
    (1..=5).for_each(|number| bench.open(number, LONG_MS));
    bench
}

/// The named cycle, as `waiter waits for by under name`; each waits for the next, and nothing has changed.
fn cycle(bench: &mut Bench, command: impl super::kit::IntoCommand) -> Vec<String> {
    let counts = bench.table.counts();
    let Refusal::WouldDeadlock { cycle } = bench.refused(command) else { panic!("another refusal") };
    assert_eq!(bench.table.counts(), counts);
    for (blocked, next) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
        assert_eq!(blocked.by, next.waiter, "{cycle:?}");
    }
    cycle.iter().map(|Blocked { name, by, waiter }| format!("{} waits for {} in {name}", of(waiter), of(by))).collect()
}

fn of(party: &Party) -> String {
    match party {
        Party::Session(session) => session.0[0].to_string(),
        Party::Label(label) => label.to_string(),
    }
}

fn hold(bench: &mut Bench, of: u8, ask: Acquire) {
    bench.acquired(ask.session(of));
}

fn waits(bench: &mut Bench, of: u8, ask: Acquire) {
    bench.queued(ask.session(of));
}

#[test]
fn two_sessions_with_two_locks_are_a_deadlock() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("a", 1));
    hold(&mut bench, 2, ask("b", 2));
    waits(&mut bench, 1, guarded("b", 3));
    let last = guarded("a", 4).session(2);
    assert_eq!(cycle(&mut bench, last.clone()), ["2 waits for 1 in a", "1 waits for 2 in b"]);
    assert!(matches!(bench.refused(last.clone().edit(|ask| ask.wait = None)), Refusal::Held(_)));
    bench.outcome(cancel("b", 3));
    bench.queued(last);
}

#[test]
fn cycle_of_three_is_named_in_its_order() {
    let mut bench = bench();
    for (number, lock) in [(1, "a"), (2, "b"), (3, "c")] {
        hold(&mut bench, number, ask(lock, number.into()));
    }
    waits(&mut bench, 1, guarded("b", 4));
    waits(&mut bench, 2, guarded("c", 5));
    waits(&mut bench, 4, guarded("a", 6));
    let found = cycle(&mut bench, guarded("a", 7).session(3));
    assert_eq!(found, ["3 waits for 1 in a", "1 waits for 2 in b", "2 waits for 3 in c"]);
}

#[test]
fn place_in_a_queue_is_part_of_a_deadlock() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("x", 1));
    hold(&mut bench, 2, ask("q", 2).shared());
    waits(&mut bench, 3, guarded("q", 3));
    waits(&mut bench, 2, guarded("x", 4));
    let found = cycle(&mut bench, guarded("q", 5).shared().session(1));
    assert_eq!(found, ["1 waits for 3 in q", "3 waits for 2 in q", "2 waits for 1 in x"]);
    bench.acquired(ask("q", 6).shared().priority(1).session(1));
}

#[test]
fn several_names_are_part_of_a_deadlock() {
    let mut of_waiter = bench();
    hold(&mut of_waiter, 1, ask("a", 1));
    hold(&mut of_waiter, 2, ask("b", 2));
    waits(&mut of_waiter, 2, guarded("c", 3).names(&[("c", 1), ("a", 1)]));
    let found = cycle(&mut of_waiter, guarded("b", 4).session(1));
    assert_eq!(found, ["1 waits for 2 in b", "2 waits for 1 in a"]);
    let mut of_newcomer = bench();
    hold(&mut of_newcomer, 1, ask("a", 1).names(&[("a", 1), ("z", 1)]));
    hold(&mut of_newcomer, 2, ask("b", 2));
    waits(&mut of_newcomer, 2, guarded("z", 3));
    let found = cycle(&mut of_newcomer, guarded("c", 4).names(&[("c", 1), ("b", 1)]).session(1));
    assert_eq!(found, ["1 waits for 2 in b", "2 waits for 1 in z"]);
}

#[test]
fn place_in_the_queue_of_a_free_lock_is_part_of_a_deadlock() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("b", 1));
    waits(&mut bench, 2, guarded("free", 2).names(&[("free", 1), ("b", 1)]));
    let found = cycle(&mut bench, guarded("free", 3).session(1));
    assert_eq!(found, ["1 waits for 2 in free", "2 waits for 1 in b"]);
}

#[test]
fn upgrade_is_part_of_a_deadlock() {
    for upgrades_last in [false, true] {
        let mut bench = bench();
        hold(&mut bench, 1, ask("a", 1).shared());
        hold(&mut bench, 2, ask("a", 2).shared());
        hold(&mut bench, 1, ask("y", 3));
        if upgrades_last {
            waits(&mut bench, 2, guarded("y", 4));
            let found = cycle(&mut bench, upgrade("a", 1, 7, Some(LONG_MS)));
            assert_eq!(found, ["1 waits for 2 in a", "2 waits for 1 in y"]);
        } else {
            bench.queued(upgrade("a", 1, 7, Some(LONG_MS)));
            let found = cycle(&mut bench, guarded("y", 4).session(2));
            assert_eq!(found, ["2 waits for 1 in y", "1 waits for 2 in a"]);
        }
    }
}

#[test]
fn upgrade_that_would_overtake_a_part_of_its_cycle_is_a_deadlock() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("a", 1).shared());
    hold(&mut bench, 2, ask("a", 2).shared());
    hold(&mut bench, 3, ask("b", 3));
    waits(&mut bench, 4, guarded("a", 4).names(&[("a", SHARED), ("b", 1)]));
    waits(&mut bench, 2, guarded("b", 5));
    let found = cycle(&mut bench, upgrade("a", 1, 7, Some(LONG_MS)));
    assert_eq!(found, ["1 waits for 2 in a", "2 waits for 4 in b", "4 waits for 1 in a"]);
}

#[test]
fn request_that_would_overtake_a_part_of_its_cycle_is_a_deadlock() {
    let mut bench = bench();
    hold(&mut bench, 2, ask("a", 2).shared());
    hold(&mut bench, 3, ask("b", 3));
    hold(&mut bench, 1, ask("of-1", 1));
    waits(&mut bench, 4, guarded("a", 4).names(&[("a", SHARED), ("b", 1)]));
    waits(&mut bench, 2, guarded("b", 5));
    let found = cycle(&mut bench, guarded("a", 6).priority(1).session(1));
    assert_eq!(found, ["1 waits for 2 in a", "2 waits for 4 in b", "4 waits for 1 in a"]);
    bench.queued(guarded("a", 6).session(1));
}

#[test]
fn counted_lock_with_other_room_is_no_deadlock() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("a", 1).size(2));
    hold(&mut bench, 3, ask("a", 2).size(2));
    hold(&mut bench, 2, ask("b", 3));
    waits(&mut bench, 1, guarded("b", 4));
    bench.queued(guarded("a", 5).size(2).session(2));
}

#[test]
fn counted_lock_without_room_beside_one_holder_is_a_deadlock() {
    let expected = ["2 waits for 1 in a", "1 waits for 2 in b"];
    let of_1: [&[u32]; 2] = [&[1, 1], &[2]];
    for weights in of_1 {
        let mut bench = bench();
        for (number, weight) in (1..).zip(weights) {
            hold(&mut bench, 1, ask("a", number).size(3).terms(|terms| terms.weight = *weight));
        }
        hold(&mut bench, 3, ask("a", 3).size(3));
        hold(&mut bench, 2, ask("b", 4));
        waits(&mut bench, 1, guarded("b", 5));
        let heavy = |weight| guarded("a", 6).size(3).terms(|terms| terms.weight = weight).session(2);
        assert_eq!(cycle(&mut bench, heavy(2)), expected, "{weights:?}");
        bench.queued(heavy(1));
    }
}

#[test]
fn session_does_not_wait_for_itself() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("a", 1));
    waits(&mut bench, 1, guarded("a", 2));
    waits(&mut bench, 1, guarded("a", 3));
    hold(&mut bench, 1, ask("b", 4).shared());
    waits(&mut bench, 1, guarded("b", 5));
    waits(&mut bench, 1, guarded("c", 6).names(&[("c", 1), ("b", 1), ("a", 1)]));
}

/// One thread of it holds the lock, and gives it back.
#[test]
fn session_does_not_wait_for_itself_through_others_that_want_the_same_lock() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("a", 1));
    waits(&mut bench, 2, guarded("a", 2));
    waits(&mut bench, 1, guarded("a", 3));
    waits(&mut bench, 2, guarded("a", 4));
    hold(&mut bench, 2, ask("b", 5));
    let other = guarded("b", 6).session(1);
    assert_eq!(cycle(&mut bench, other), ["1 waits for 2 in b", "2 waits for 1 in a"]);
}

#[test]
fn wait_that_is_not_guarded_or_has_no_owner_is_never_refused() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("a", 1));
    hold(&mut bench, 2, ask("b", 2));
    waits(&mut bench, 1, wait("b", 3));
    waits(&mut bench, 2, wait("a", 4));
    waits(&mut bench, 3, guarded("a", 5));
    bench.queued(guarded("b", 6));
}

#[test]
fn owner_label_is_part_of_a_deadlock() {
    let mut bench = bench();
    bench.acquired(ask("a", 1).label("x"));
    hold(&mut bench, 1, ask("b", 2));
    bench.queued(ask("b", 3).label("x").lease_ms(LONG_MS).detached_ms(LONG_MS));
    assert_eq!(cycle(&mut bench, guarded("a", 4).session(1)), ["1 waits for x in a", "x waits for 1 in b"]);
}

#[test]
fn search_that_meets_its_limit_lets_the_wait_begin() {
    let mut bench = Bench::with_limits(|limits| limits.deadlock_search_max = 1);
    (1..=3).for_each(|number| bench.open(number, LONG_MS));
    for (number, lock) in [(1, "a"), (2, "b"), (3, "c")] {
        hold(&mut bench, number, ask(lock, number.into()));
    }
    waits(&mut bench, 1, wait("b", 4));
    waits(&mut bench, 2, wait("c", 5));
    let (outcome, events) = bench.run(guarded("a", 6).session(3));
    assert_eq!((outcome, events), (Outcome::Waiting { position: 0 }, vec![Event::DeadlockSearchCut]));
}

#[test]
fn search_counts_also_those_that_wait_for_nobody() {
    for (limit, is_cut) in [(3, true), (4, false)] {
        let mut bench = Bench::with_limits(|limits| limits.deadlock_search_max = limit);
        bench.open(1, LONG_MS);
        hold(&mut bench, 1, ask("of-1", 1));
        bench.acquired(ask("a", 2).size(2));
        bench.acquired(ask("a", 3).size(2));
        (4..=5).for_each(|key| _ = bench.queued(wait("a", key).size(2)));
        let (_, events) = bench.run(guarded("a", 6).size(2).session(1));
        assert_eq!(events == [Event::DeadlockSearchCut], is_cut, "holds and waiters are looked at, up to {limit}");
    }
}

#[test]
fn retry_of_a_lost_request_is_refused_if_its_wait_is_part_of_a_deadlock_now() {
    let mut bench = bench();
    hold(&mut bench, 1, ask("a", 1));
    hold(&mut bench, 2, ask("b", 2));
    waits(&mut bench, 1, guarded("b", 3).request(1));
    bench.outcome(cancel("b", 3));
    waits(&mut bench, 2, guarded("a", 4));
    let found = cycle(&mut bench, guarded("b", 5).session(1).request(1));
    assert_eq!(found, ["1 waits for 2 in b", "2 waits for 1 in a"]);
    bench.restored();
    bench.outcome(cancel("a", 4));
    waits(&mut bench, 1, guarded("b", 6).request(1));
    assert!(matches!(bench.outcome(release("b", 2)), Outcome::Released { waiter_granted: true, .. }));
    assert_eq!(bench.table.holds_of(session(1)), 2);
}

#[test]
fn guarded_wait_is_a_plain_one_below_level_7() {
    let mut bench = Bench::started(LeaderStart { level: 6, ..start(RUN) });
    bench.open(1, LONG_MS);
    bench.open(2, LONG_MS);
    hold(&mut bench, 1, ask("a", 1));
    hold(&mut bench, 2, ask("b", 2));
    waits(&mut bench, 1, guarded("b", 3));
    let (outcome, events) = bench.run(guarded("a", 4).session(2));
    assert_eq!((outcome, events), (Outcome::Waiting { position: 0 }, Vec::new()));
}
