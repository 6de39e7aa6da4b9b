//! Modes: shared holds beside each other, exclusive ones alone, counted ones by their weights.

use super::kit::{Asking, Bench, acquire, ask, cancel, release};
use super::kit_modes::{grants, wait};
use latchd::domain::{Acquire, Dialect, Outcome, Proof, Refusal, SHARED};

const RELEASED: fn(bool) -> Outcome = |waiter_granted| Outcome::Released { waiter_granted, names: Vec::new() };

#[test]
fn readers_hold_together_and_exclude_a_writer() {
    let mut bench = Bench::new();
    for key in 1..=100 {
        bench.acquired(ask("a", key).shared());
    }
    assert!(matches!(bench.refused(ask("a", 101)), Refusal::Held(_)));
    assert_eq!(bench.seen("a"), (100, 0));
    for key in 1..=100 {
        assert!(matches!(bench.refused(ask("a", 101)), Refusal::Held(_)), "{key} is still there");
        bench.outcome(release("a", key));
    }
    bench.acquired(ask("a", 101));
    assert!(matches!(bench.refused(ask("a", 102).shared()), Refusal::Held(_)));
    bench.restored();
}

#[test]
fn writer_is_granted_between_two_groups_of_readers() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).shared());
    bench.acquired(ask("a", 2).shared());
    let writer = bench.queued(wait("a", 3));
    let readers = [4, 5].map(|key| bench.queued(wait("a", key).shared()));
    assert_eq!(bench.outcome(release("a", 1)), RELEASED(false));
    let (outcome, events) = bench.run(release("a", 2));
    assert_eq!(outcome, RELEASED(true));
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), [writer]);
    assert!(bench.is_held_by("a", &[3]));
    bench.restored();
    let (_, events) = bench.run(release("a", 3));
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), readers);
    assert!(bench.is_held_by("a", &[4, 5]));
}

#[test]
fn reader_does_not_overtake_a_waiting_writer() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).shared());
    bench.queued(wait("a", 2));
    let Refusal::Held(by) = bench.refused(ask("a", 3).shared()) else { panic!("it overtook") };
    assert_eq!(by.waiters, 1);
    assert_eq!(bench.outcome(wait("a", 3).shared()), Outcome::Waiting { position: 1 });
    bench.queued(wait("a", 4));
    bench.queued(wait("a", 5).shared());
    let mut turns = Vec::new();
    for key in 1..=5 {
        turns.push(bench.holders("a"));
        bench.outcome(release("a", key));
    }
    let expected = [1, 2, 3, 4, 5].map(|key| super::kit_modes::keys(&[key]));
    assert_eq!(turns, expected, "readers behind a writer wait for it");
}

#[test]
fn reader_of_a_higher_priority_passes_a_writer() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).shared());
    bench.queued(wait("a", 2));
    bench.acquired(ask("a", 3).shared().priority(1));
    assert!(bench.is_held_by("a", &[1, 3]));
}

/// How a lock can be asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Exclusive,
    Shared,
    Counted,
}

impl Mode {
    const ALL: [Mode; 3] = [Mode::Exclusive, Mode::Shared, Mode::Counted];

    fn size(self) -> u32 {
        match self {
            Mode::Exclusive => 1,
            Mode::Shared => SHARED,
            Mode::Counted => 2,
        }
    }

    /// Whether two holds, one of each mode, may have the lock together.
    fn goes_with(self, other: Mode) -> bool {
        self == other && self != Mode::Exclusive
    }

    /// Whether a request of `other` can never be reconciled with the use of the lock.
    fn mismatches(self, other: Mode, remembers_size: bool) -> bool {
        let is_checked = remembers_size || other == Mode::Shared;
        is_checked && self != other && [self, other].contains(&Mode::Counted)
    }
}

fn ask_as(dialect: Dialect, mode: Mode, key: u64) -> Acquire {
    let remembers_size = matches!(dialect, Dialect::LdlmRest | Dialect::LdlmGrpc);
    wait("a", key).size(mode.size()).dialect(dialect).edit(|ask| ask.remembers_size = remembers_size)
}

#[test]
fn every_pair_of_dialects_and_modes_excludes_as_its_modes_do() {
    let all = || Dialect::ALL.into_iter().flat_map(|dialect| Mode::ALL.map(|mode| (dialect, mode)));
    for (first, held) in all() {
        for (second, asked) in all() {
            let pair = format!("{first:?} {held:?}, then {second:?} {asked:?}");
            let mut bench = Bench::new();
            bench.acquired(ask_as(first, held, 1));
            let ask = ask_as(second, asked, 2);
            let outcome = bench.outcome(ask.clone());
            if held.mismatches(asked, ask.remembers_size) {
                assert_eq!(outcome, Outcome::Refused(Refusal::SizeMismatch { size: held.size() }), "{pair}");
            } else if held.goes_with(asked) {
                assert!(matches!(outcome, Outcome::Acquired(_)), "{pair}: {outcome:?}");
                assert!(bench.is_held_by("a", &[1, 2]), "{pair}");
            } else {
                assert_eq!(outcome, Outcome::Waiting { position: 0 }, "{pair}");
                let by_dialect = Proof::TakenBy(first);
                bench.outcome(latchd::domain::Command::Release { name: "a".into(), session: None, proof: by_dialect });
                assert!(bench.is_held_by("a", &[2]), "{pair}");
            }
        }
    }
}

#[test]
fn counted_use_against_shared_use_is_refused_by_the_size() {
    let mut bench = Bench::new();
    bench.acquired(ask("shared", 1).shared());
    assert_eq!(bench.refused(ask("shared", 2).ldlm(3)), Refusal::SizeMismatch { size: SHARED });
    bench.acquired(ask("counted", 1).size(3));
    let mismatch = Refusal::SizeMismatch { size: 3 };
    assert_eq!(bench.refused(ask("counted", 2).shared()), mismatch);
    assert_eq!(bench.refused(wait("counted", 2).shared()), mismatch, "waiting does not help");
    assert_eq!(bench.outcome(wait("shared", 2).ldlm(1)), Outcome::Waiting { position: 0 }, "exclusive is no mismatch");
}

#[test]
fn idle_lock_remembers_size_1_after_shared_use() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).shared().edit(|ask| ask.remembers_size = true));
    bench.outcome(release("a", 1));
    assert_eq!(bench.table.counts().remembered_sizes, 1);
    bench.restored();
    assert_eq!(bench.refused(ask("a", 2).ldlm(3)), Refusal::SizeMismatch { size: 1 });
    bench.acquired(ask("a", 2).ldlm(1));
    bench.outcome(release("a", 2));
    bench.acquired(ask("a", 3).shared());
    assert_eq!(
        bench.refused(ask("b", 4).size(10_001)),
        Refusal::LimitExceeded { field: latchd::domain::Field::Size, limit: 10_000 }
    );
}

fn heavy(key: u64, size: u32, weight: u32) -> Acquire {
    ask("a", key).size(size).terms(|terms| terms.weight = weight)
}

#[test]
fn weights_fill_a_lock_up_to_its_size() {
    let mut bench = Bench::new();
    bench.acquired(heavy(1, 5, 3));
    assert!(matches!(bench.refused(heavy(2, 5, 3)), Refusal::Held(_)));
    bench.acquired(heavy(2, 5, 2));
    assert!(matches!(bench.refused(ask("a", 3).size(5)), Refusal::Held(_)), "5 places are taken");
    bench.restored();
    bench.outcome(release("a", 1));
    bench.acquired(ask("a", 3).size(5));
    bench.acquired(heavy(4, 5, 2));
    assert!(matches!(bench.refused(ask("a", 5).size(5)), Refusal::Held(_)));
    for key in [2, 3, 4] {
        bench.outcome(release("a", key));
    }
    bench.acquired(heavy(6, 5, 5));
    assert!(matches!(bench.refused(ask("a", 7).size(5)), Refusal::Held(_)));
}

#[test]
fn weight_of_zero_or_above_the_size_is_refused() {
    let mut bench = Bench::new();
    for (size, weight) in [(5, 0), (5, 6), (1, 2), (5, u32::MAX), (SHARED, 0), (SHARED, 2), (SHARED, u32::MAX)] {
        assert_eq!(bench.refused(heavy(1, size, weight)), Refusal::WeightAboveSize { size }, "{weight} of {size}");
    }
    let of_names = |weight| ask("a", 1).names(&[("a", 5), ("b", 2)]).terms(|terms| terms.weight = weight);
    assert_eq!(bench.refused(of_names(3)), Refusal::WeightAboveSize { size: 2 }, "of any name");
    bench.acquired(of_names(2));
    assert!(matches!(bench.refused(ask("b", 2).size(2)), Refusal::Held(_)), "it takes its weight of each");
    bench.acquired(heavy(2, 5, 3));
    assert!(matches!(bench.refused(ask("a", 3).size(5)), Refusal::Held(_)));
}

#[test]
fn waiter_of_names_is_granted_its_weight_of_each() {
    let mut bench = Bench::new();
    bench.acquired(heavy(1, 3, 2));
    bench.queued(wait("a", 2).names(&[("a", 3), ("b", 3)]).terms(|terms| terms.weight = 2));
    bench.queued(wait("a", 3).size(3));
    bench.outcome(cancel("a", 3));
    assert!(bench.is_held_by("a", &[1]), "one place of three is not enough");
    bench.outcome(release("a", 1));
    assert!(bench.is_held_by("a", &[2]) && bench.is_held_by("b", &[2]));
    bench.acquired(ask("b", 3).size(3));
    assert!(matches!(bench.refused(ask("b", 4).size(3)), Refusal::Held(_)));
    bench.restored();
}

#[test]
fn heavy_waiter_is_not_overtaken_by_light_ones() {
    let mut bench = Bench::new();
    (1..=3).for_each(|key| _ = bench.acquired(heavy(key, 3, 1)));
    bench.queued(heavy(4, 3, 2).lease_ms(1_000).wait_ms(1_000));
    bench.queued(heavy(5, 3, 1).lease_ms(1_000).wait_ms(1_000));
    bench.outcome(release("a", 1));
    assert!(matches!(bench.refused(heavy(6, 3, 1)), Refusal::Held(_)), "one place is free, and kept for the heavy one");
    assert_eq!(bench.seen("a"), (2, 2));
    bench.restored();
    bench.outcome(release("a", 2));
    assert!(bench.is_held_by("a", &[3, 4]));
    bench.outcome(release("a", 3));
    assert!(bench.is_held_by("a", &[4, 5]));
}

#[test]
fn requests_of_one_entry_see_each_other() {
    let mut bench = Bench::new();
    let commands = [ask("a", 1).shared(), ask("a", 2).shared(), ask("a", 3), wait("a", 4), ask("a", 5).shared()];
    let applied = bench.batch(commands.map(acquire).into());
    let outcomes: Vec<_> = applied.outcomes.iter().map(|(_, outcome)| outcome).collect();
    assert!(matches!(
        outcomes.as_slice(),
        [
            Outcome::Acquired(_),
            Outcome::Acquired(_),
            Outcome::Refused(Refusal::Held(_)),
            Outcome::Waiting { position: 0 },
            Outcome::Refused(Refusal::Held(_))
        ]
    ));
}
