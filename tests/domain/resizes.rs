//! Resize: another number of holds may have a counted lock.

use super::kit::{Asking, Bench, RUN, ask, cancel, downgrade, name, release, release_names, start, upgrade};
use super::kit_modes::{grants, resize, wait};
use latchd::domain::{Acquire, Field, Incarnation, LeaderStart, Outcome, Refusal, SHARED};

fn heavy(ask: Acquire, weight: u32) -> Acquire {
    ask.terms(|terms| terms.weight = weight)
}

/// A counted lock of this size, with as many holds, under the keys from 1 on.
fn full(size: u32) -> Bench {
    let mut bench = Bench::new();
    (1..=u64::from(size)).for_each(|key| _ = bench.acquired(ask("a", key).size(size)));
    bench
}

#[test]
fn larger_size_grants_to_the_waiters_that_fit() {
    let mut bench = full(2);
    let waiting = [3, 4, 5].map(|key| bench.queued(wait("a", key).size(2)));
    let (outcome, events) = bench.run(resize("a", 4));
    assert_eq!(outcome, Outcome::Resized { size: 4 });
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), waiting[..2]);
    assert_eq!(bench.seen("a"), (4, 1));
    bench.restored();
    assert!(matches!(bench.refused(ask("a", 6).size(4)), Refusal::Held(_)));
    bench.outcome(release("a", 1));
    bench.outcome(release("a", 2));
    bench.acquired(ask("a", 6).size(4));
    assert_eq!(bench.seen("a"), (4, 0));
}

#[test]
fn smaller_size_drains() {
    let mut bench = full(4);
    bench.queued(wait("a", 5).size(4));
    assert_eq!(bench.outcome(resize("a", 2)), Outcome::Resized { size: 2 });
    for key in 1..=2 {
        assert_eq!(bench.outcome(release("a", key)), Outcome::Released { waiter_granted: false, names: Vec::new() });
        bench.restored();
    }
    bench.outcome(release("a", 3));
    assert!(bench.is_held_by("a", &[4, 5]));
    bench.restored();
}

/// With one place the lock would look like an exclusive one, and an exclusive hold would be resized with it.
#[test]
fn size_of_one_is_refused_and_the_lock_stays_counted() {
    let mut bench = full(2);
    bench.queued(wait("a", 3).size(2));
    for _ in 0..2 {
        assert_eq!(bench.refused(resize("a", 1)), Refusal::SizeOfOne);
        assert_eq!(bench.table.preflight(&resize("a", 1), bench.table.now()), Some(Refusal::SizeOfOne));
        assert_eq!(bench.outcome(resize("a", 2)), Outcome::Resized { size: 2 });
        bench.outcome(release("a", 1));
    }
    bench.outcome(release("a", 2));
    bench.outcome(release("a", 3));
    assert!(matches!(bench.outcome(resize("a", 1)), Outcome::Refused(_)), "also of an idle lock");
}

#[test]
fn table_below_level_9_is_resized_to_one() {
    let mut bench = Bench::started(LeaderStart { level: 8, ..start(RUN) });
    bench.acquired(ask("a", 1).size(2));
    assert_eq!(bench.outcome(resize("a", 1)), Outcome::Resized { size: 1 });
}

#[test]
fn ldlm_client_must_know_the_new_size() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).ldlm(3));
    bench.outcome(resize("a", 2));
    assert_eq!(bench.refused(ask("a", 2).ldlm(3)), Refusal::SizeMismatch { size: 2 });
    bench.acquired(ask("a", 2).ldlm(2));
    bench.outcome(release("a", 1));
    bench.outcome(release("a", 2));
    assert_eq!(bench.refused(ask("a", 3).ldlm(3)), Refusal::SizeMismatch { size: 2 }, "the new size is remembered");
    assert_eq!(bench.outcome(resize("a", 5)), Outcome::Resized { size: 5 }, "also of an idle lock");
    bench.restored();
    bench.acquired(ask("a", 3).ldlm(5));
    bench.acquired(ask("b", 1).ldlm(1));
    bench.outcome(release("b", 1));
    assert_eq!(bench.refused(resize("b", 2)), Refusal::NotCounted);
}

#[test]
fn size_below_the_weight_of_a_waiter_is_refused() {
    let mut bench = Bench::new();
    bench.acquired(heavy(ask("a", 1).size(5), 4));
    bench.queued(heavy(wait("a", 2).size(5), 3));
    assert_eq!(bench.refused(resize("a", 2)), Refusal::SizeBelowWeight { weight: 3 }, "it could never be granted");
    assert_eq!(bench.outcome(resize("a", 3)), Outcome::Resized { size: 3 }, "below the weight of a hold");
    bench.restored();
    bench.outcome(release("a", 1));
    assert!(bench.is_held_by("a", &[2]));
    bench.queued(heavy(wait("a", 4).size(50), 40));
    assert_eq!(
        bench.outcome(resize("a", 4)),
        Outcome::Resized { size: 4 },
        "who waits for another size is not in the way"
    );
}

#[test]
fn lock_that_is_not_counted_is_not_resized() {
    let mut bench = Bench::new();
    assert_eq!(bench.refused(resize("none", 2)), Refusal::NoSuchLock);
    bench.acquired(ask("exclusive", 1));
    bench.acquired(ask("shared", 2).shared());
    for lock in ["exclusive", "shared"] {
        assert_eq!(bench.refused(resize(lock, 2)), Refusal::NotCounted, "{lock}");
    }
    bench.acquired(ask("a", 3).size(2));
    assert_eq!(bench.refused(resize("a", 0)), Refusal::ZeroSize);
    for size in [10_001, SHARED] {
        assert_eq!(bench.refused(resize("a", size)), Refusal::LimitExceeded { field: Field::Size, limit: 10_000 });
    }
    assert_eq!(bench.table.lock_view(&name("a"), bench.table.now()).map(|view| view.size), Some(2));
}

#[test]
fn waiter_of_several_names_asks_for_the_new_size() {
    let mut bench = full(2);
    bench.acquired(ask("b", 9));
    bench.queued(wait("b", 3).names(&[("b", 1), ("a", 2)]).request(1));
    bench.queued(wait("a", 4).size(3));
    bench.outcome(resize("a", 3));
    bench.restored();
    bench.outcome(release("b", 9));
    assert!(bench.is_held_by("b", &[3]) && bench.is_held_by("a", &[1, 2, 3]));
    assert_eq!(bench.table.lock_view(&name("a"), bench.table.now()).map(|view| view.size), Some(3));
    bench.outcome(release("a", 1));
    assert!(bench.is_held_by("a", &[2, 3, 4]));
    bench.restored();
    assert!(matches!(bench.outcome(release_names(&["a", "b"], 3)), Outcome::Released { .. }));
}

#[test]
fn retry_of_a_wait_asks_for_the_new_size() {
    let mut bench = full(2);
    bench.queued(wait("a", 3).size(2).request(1));
    bench.acquired(ask("b", 9));
    bench.queued(wait("b", 4).names(&[("b", 1), ("a", 2)]).request(2));
    bench.outcome(resize("a", 4));
    bench.outcome(cancel("b", 4));
    bench.restored();
    assert!(bench.is_held_by("a", &[1, 2, 3]));
    bench.queued(wait("b", 5).names(&[("b", 1), ("a", 2)]).request(2));
    bench.outcome(release("b", 9));
    assert!(bench.is_held_by("a", &[1, 2, 3, 5]) && bench.is_held_by("b", &[5]));
    bench.restored();
}

#[test]
fn lock_that_was_resized_may_be_shared_next() {
    let mut bench = full(3);
    bench.outcome(resize("a", 2));
    bench.queued(wait("a", 4));
    (1..=3).for_each(|key| _ = bench.outcome(release("a", key)));
    assert!(bench.is_held_by("a", &[4]));
    bench.queued(wait("a", 5).shared());
    assert!(matches!(bench.outcome(downgrade("a", 4)), Outcome::Changed(_)), "it is not counted any more");
    assert!(bench.is_held_by("a", &[4, 5]));
    bench.restored();
    bench.outcome(release("a", 5));
    bench.changed(upgrade("a", 4, 7, None));
    assert_eq!(bench.refused(resize("a", 2)), Refusal::NotCounted);
}

#[test]
fn hold_of_several_names_that_a_dead_node_lost_asks_for_the_new_size() {
    let mut bench = Bench::cluster();
    bench.acquired(ask("b", 9));
    bench.queued(wait("b", 3).names(&[("b", 1), ("a", 2)]).request(1));
    bench.outcome(release("b", 9));
    bench.outcome(resize("a", 3));
    bench.lead_with(Incarnation(7));
    bench.from(Incarnation(7)).acquired(ask("a", 4).size(3));
    bench.restored();
    bench.queued(wait("b", 5).names(&[("b", 1), ("a", 2)]).request(1));
    assert!(bench.is_held_by("a", &[4, 5]), "there is room beside a hold of the new size");
}
