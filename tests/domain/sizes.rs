//! How many hold a lock at once, and what those are told who disagree about it.

use super::kit::{Asking, Bench, ask, release};
use latchd::domain::{Grant, Outcome, Refusal};

#[test]
fn a_lock_has_room_for_its_size_and_no_more() {
    let mut bench = Bench::new();
    for key in 1..=3 {
        bench.acquired(ask("a", key).size(3));
    }
    assert!(matches!(bench.refused(ask("a", 4).size(3)), Refusal::Held(_)));
    bench.outcome(release("a", 2));
    bench.acquired(ask("a", 5).size(3));
    assert_eq!(bench.seen("a"), (3, 0));
}

#[test]
fn an_ldlm_client_is_told_the_size_of_a_lock_in_use() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).ldlm(3));
    assert_eq!(bench.refused(ask("a", 2).ldlm(2)), Refusal::SizeMismatch { size: 3 });
    assert_eq!(bench.refused(ask("a", 2).ldlm(2).lease_ms(9).wait_ms(9)), Refusal::SizeMismatch { size: 3 });
    bench.acquired(ask("a", 2).ldlm(3));
}

#[test]
fn an_ldlm_client_is_told_the_size_that_another_dialect_set() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    assert_eq!(bench.refused(ask("a", 2).ldlm(3)), Refusal::SizeMismatch { size: 1 });
}

#[test]
fn a_dialect_without_sizes_is_refused_or_waits_until_the_larger_lock_is_free() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).ldlm(3));
    bench.acquired(ask("a", 2).ldlm(3));
    assert!(matches!(bench.refused(ask("a", 3)), Refusal::Held(_)), "there is room, but not for a size of 1");
    bench.queued(ask("a", 4).lease_ms(1_000).wait_ms(1_000));
    assert!(matches!(bench.refused(ask("a", 5).ldlm(3)), Refusal::Held(_)), "nobody overtakes one who waits");
    assert_eq!(bench.outcome(release("a", 1)), Outcome::Released { waiter_granted: false });
    assert_eq!(bench.outcome(release("a", 2)), Outcome::Released { waiter_granted: true });
    let view = bench.table.lock_view(&super::kit::name("a"), bench.table.now()).expect("it is held");
    assert_eq!((view.size, view.holds.len()), (1, 1));
}

#[test]
fn a_release_lets_in_all_who_fit() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    for key in 2..=4 {
        bench.queued(ask("a", key).size(2).lease_ms(1_000).wait_ms(1_000));
    }
    bench.outcome(release("a", 1));
    assert_eq!(bench.seen("a"), (2, 1));
}

#[test]
fn a_refusal_says_who_is_in_the_way() {
    let mut bench = Bench::new();
    let first: Grant = bench.acquired(ask("a", 1).size(2).metadata(&[("who", "x")]));
    bench.pass_ms(5);
    let second = bench.acquired(ask("a", 2).size(2).lease_ms(50));
    bench.queued(ask("a", 3).size(2).lease_ms(1).wait_ms(9));
    let Refusal::Held(by) = bench.refused(ask("a", 4)) else { panic!("not held") };
    assert_eq!((by.since, by.token), (first.since, first.token), "the oldest hold speaks");
    assert_eq!(by.deadline, second.deadline, "the earliest lease to end");
    assert_eq!(by.metadata.iter().collect::<Vec<_>>(), [("who", "x")]);
    assert_eq!(by.waiters, 1);
}

#[test]
fn a_size_of_zero_is_refused() {
    assert_eq!(Bench::new().refused(ask("a", 1).size(0)), Refusal::ZeroSize);
}
