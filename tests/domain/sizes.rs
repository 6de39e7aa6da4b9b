//! Sizes: how many holds a lock takes, and the refusals for a different size.

use super::kit::{Asking, Bench, ask, release};
use latchd::domain::{Grant, Outcome, Refusal};

#[test]
fn lock_takes_as_many_holds_as_its_size() {
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
fn acquire_of_another_size_reports_the_held_size() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).ldlm(3));
    assert_eq!(bench.refused(ask("a", 2).ldlm(2)), Refusal::SizeMismatch { size: 3 });
    assert_eq!(bench.refused(ask("a", 2).ldlm(2).lease_ms(9).wait_ms(9)), Refusal::SizeMismatch { size: 3 });
    bench.acquired(ask("a", 2).ldlm(3));
}

#[test]
fn ldlm_refusal_reports_the_size_set_by_another_dialect() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    assert_eq!(bench.refused(ask("a", 2).ldlm(3)), Refusal::SizeMismatch { size: 1 });
}

#[test]
fn acquire_of_smaller_size_waits_until_the_lock_is_free() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).ldlm(3));
    bench.acquired(ask("a", 2).ldlm(3));
    assert!(matches!(bench.refused(ask("a", 3)), Refusal::Held(_)), "there is room, but not for size 1");
    bench.queued(ask("a", 4).lease_ms(1_000).wait_ms(1_000));
    assert!(matches!(bench.refused(ask("a", 5).ldlm(3)), Refusal::Held(_)), "nobody overtakes a waiter");
    assert_eq!(bench.outcome(release("a", 1)), Outcome::Released { waiter_granted: false, names: Vec::new() });
    assert_eq!(bench.outcome(release("a", 2)), Outcome::Released { waiter_granted: true, names: Vec::new() });
    let view = bench.table.lock_view(&super::kit::name("a"), bench.table.now()).expect("it is held");
    assert_eq!((view.size, view.holds.len()), (1, 1));
}

#[test]
fn release_grants_to_all_waiters_that_fit() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    for key in 2..=4 {
        bench.queued(ask("a", key).size(2).lease_ms(1_000).wait_ms(1_000));
    }
    bench.outcome(release("a", 1));
    assert_eq!(bench.seen("a"), (2, 1));
}

#[test]
fn refusal_describes_the_holders() {
    let mut bench = Bench::new();
    let first: Grant = bench.acquired(ask("a", 1).size(2).metadata(&[("who", "x")]));
    bench.pass_ms(5);
    let second = bench.acquired(ask("a", 2).size(2).lease_ms(50));
    bench.queued(ask("a", 3).size(2).lease_ms(1).wait_ms(9));
    let Refusal::Held(by) = bench.refused(ask("a", 4)) else { panic!("not held") };
    assert_eq!((by.since, by.token), (first.since, first.token), "the oldest hold is described");
    assert_eq!(by.deadline, second.deadline, "the lease that ends first");
    assert_eq!(by.metadata.iter().collect::<Vec<_>>(), [("who", "x")]);
    assert_eq!(by.waiters, 1);
}

#[test]
fn size_of_zero_is_refused() {
    assert_eq!(Bench::new().refused(ask("a", 1).size(0)), Refusal::ZeroSize);
}
