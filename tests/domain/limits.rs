//! Every limit, at its value and one beyond it.

use super::kit::{Asking, Bench, ask, close, name, open, release, renew, session};
use latchd::domain::{Acquire, Field, Limits, Outcome, Refusal};

/// `fits` is granted and `exceeds` is refused for this field, by the limits alone and by the table.
fn bound(edit: impl Fn(&mut Limits), field: Field, limit: u64, fits: Acquire, exceeds: Acquire) {
    let refusal = Refusal::LimitExceeded { field, limit };
    let mut bench = Bench::with_limits(edit);
    assert_eq!(bench.table.limits().check_acquire(&fits), Ok(()));
    assert_eq!(bench.table.limits().check_acquire(&exceeds), Err(refusal.clone()));
    assert_eq!(bench.refused(exceeds), refusal);
    bench.acquired(fits);
}

#[test]
fn name_limit_counts_bytes() {
    bound(|limits| limits.name_bytes_max = 4, Field::Name, 4, ask("éé", 1), ask("ééé", 1));
}

#[test]
fn name_with_nul_is_refused() {
    assert_eq!(Bench::new().refused(ask("a\0b", 1)), Refusal::NulInName);
}

#[test]
fn size_limit_is_enforced() {
    bound(|limits| limits.size_max = 3, Field::Size, 3, ask("a", 1).size(3), ask("a", 1).size(4));
}

#[test]
fn lease_limit_is_enforced() {
    bound(|limits| limits.lease_ms_max = 9, Field::Lease, 9, ask("a", 1).lease_ms(9), ask("a", 1).lease_ms(10));
}

#[test]
fn lease_limit_is_enforced_on_renewal() {
    let mut bench = Bench::with_limits(|limits| limits.lease_ms_max = 9);
    bench.acquired(ask("a", 1).lease_ms(1));
    assert_eq!(bench.refused(renew("a", 1, 10)), Refusal::LimitExceeded { field: Field::Lease, limit: 9 });
    assert!(matches!(bench.outcome(renew("a", 1, 9)), Outcome::Renewed(_)));
}

#[test]
fn wait_limit_is_enforced() {
    let waiting = |timeout_ms| ask("a", 1).lease_ms(1).wait_ms(timeout_ms);
    bound(|limits| limits.wait_ms_max = 9, Field::Wait, 9, waiting(9), waiting(10));
    let detached = |timeout_ms| ask("a", 1).lease_ms(1).detached_ms(timeout_ms);
    bound(|limits| limits.wait_ms_max = 9, Field::Wait, 9, detached(9), detached(10));
}

#[test]
fn metadata_limits_are_enforced() {
    let with = |pairs: &[(&str, &str)]| ask("a", 1).metadata(pairs);
    let (one, two) = (with(&[("a", "1")]), with(&[("a", "1"), ("b", "2")]));
    bound(|limits| limits.metadata_entries_max = 1, Field::MetadataEntries, 1, one.clone(), two);
    bound(|limits| limits.metadata_key_bytes_max = 1, Field::MetadataKey, 1, one.clone(), with(&[("aa", "1")]));
    bound(|limits| limits.metadata_value_bytes_max = 1, Field::MetadataValue, 1, one, with(&[("a", "11")]));
}

#[test]
fn wait_without_lease_or_session_is_refused() {
    let mut bench = Bench::new();
    bench.open(1, 1_000);
    assert_eq!(bench.refused(ask("a", 1).wait_ms(1)), Refusal::UnboundedHold);
    assert_eq!(bench.refused(ask("a", 1).label("x").detached_ms(1)), Refusal::UnboundedHold);
    bench.acquired(ask("a", 1).wait_ms(1).lease_ms(1));
    bench.acquired(ask("b", 1).wait_ms(1).session(1));
}

#[test]
fn waiters_per_lock_are_limited() {
    let mut bench = Bench::with_limits(|limits| limits.waiters_per_lock_max = 1);
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).lease_ms(1).wait_ms(1));
    assert_eq!(bench.refused(ask("a", 3).lease_ms(1).wait_ms(1)), Refusal::QueueFull { limit: 1 });
    bench.acquired(ask("b", 3).lease_ms(1).wait_ms(1));
    bench.outcome(release("a", 1));
    bench.queued(ask("a", 3).lease_ms(1).wait_ms(1));
}

#[test]
fn holds_and_waiters_are_limited() {
    let mut bench = Bench::with_limits(|limits| limits.holds_max = 2);
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).lease_ms(1).wait_ms(9));
    assert_eq!(bench.refused(ask("b", 3)), Refusal::HoldsFull { limit: 2 });
    assert_eq!(bench.refused(ask("a", 3).lease_ms(1).wait_ms(9)), Refusal::HoldsFull { limit: 2 });
    assert!(matches!(bench.refused(ask("a", 3)), Refusal::Held(_)), "the refusal of a held lock comes first");
    bench.outcome(release("a", 1));
    bench.acquired(ask("b", 3));
}

#[test]
fn sessions_are_limited() {
    let mut bench = Bench::with_limits(|limits| limits.sessions_max = 2);
    bench.open(1, 1_000);
    bench.open(2, 1_000);
    let third = open(3, 1_000);
    assert_eq!(bench.refused(third.clone()), Refusal::SessionsFull { limit: 2 });
    bench.outcome(close(1));
    assert_eq!(bench.outcome(third), Outcome::SessionOpened { session: session(3) });
}

#[test]
fn holds_and_waiters_per_session_are_limited() {
    let mut bench = Bench::with_limits(|limits| limits.holds_per_session_max = 2);
    bench.open(1, 1_000);
    bench.open(2, 1_000);
    bench.acquired(ask("x", 9));
    bench.acquired(ask("a", 1).session(1));
    bench.queued(ask("x", 2).session(1).wait_ms(9));
    assert_eq!(bench.refused(ask("b", 3).session(1)), Refusal::SessionHoldsFull { limit: 2 });
    bench.acquired(ask("b", 3).session(2));
    bench.acquired(ask("c", 3));
    bench.outcome(release("a", 1));
    bench.acquired(ask("d", 4).session(1));
}

#[test]
fn refused_acquire_leaves_no_trace() {
    let mut bench = Bench::with_limits(|limits| limits.holds_max = 0);
    let before = bench.table.counts();
    assert_eq!(bench.refused(ask("a", 1)), Refusal::HoldsFull { limit: 0 });
    assert_eq!(bench.table.counts(), before);
    assert!(bench.table.lock_view(&name("a"), bench.table.now()).is_none());
}
