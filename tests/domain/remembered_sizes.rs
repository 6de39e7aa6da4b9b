//! LDLM's rule: the size of an idle lock is remembered for a while, and binds only LDLM's clients.

use super::kit::{Asking, Bench, acquire, ask, name, release, renew};
use latchd::domain::Refusal;

fn bench() -> Bench {
    Bench::with_limits(|limits| limits.remembered_size_idle_ms = 100)
}

/// Acquires and releases, so that only the size is left.
fn leave_a_size(bench: &mut Bench, lock: &str, size: u32) {
    bench.acquired(ask(lock, 1).ldlm(size));
    bench.outcome(release(lock, 1));
    assert_eq!(bench.seen(lock), (0, 0));
}

#[test]
fn remembered_size_binds_only_ldlm_clients() {
    let mut bench = bench();
    leave_a_size(&mut bench, "a", 3);
    assert_eq!(bench.refused(ask("a", 2).ldlm(1)), Refusal::SizeMismatch { size: 3 });
    bench.acquired(ask("a", 3));
}

#[test]
fn remembered_size_is_forgotten_after_its_idle_time() {
    let mut bench = bench();
    leave_a_size(&mut bench, "a", 3);
    bench.pass_ms(100);
    assert_eq!(bench.refused(ask("a", 2).ldlm(1)), Refusal::SizeMismatch { size: 3 });
    bench.pass_ms(1);
    bench.acquired(ask("a", 2).ldlm(1));
}

#[test]
fn idle_lock_with_remembered_size_refuses_every_key() {
    let mut bench = bench();
    leave_a_size(&mut bench, "a", 3);
    assert_eq!(bench.refused(release("a", 1)), Refusal::WrongKey);
    assert_eq!(bench.refused(renew("a", 1, 10)), Refusal::WrongKey);
    bench.pass_ms(101).tick();
    assert_eq!(bench.refused(release("a", 1)), Refusal::NoSuchLock);
}

#[test]
fn other_dialects_leave_no_remembered_size() {
    let mut bench = bench();
    bench.acquired(ask("a", 1).size(3));
    bench.outcome(release("a", 1));
    assert_eq!(bench.table.counts().remembered_sizes, 0);
    assert_eq!(bench.refused(release("a", 1)), Refusal::NoSuchLock);
}

#[test]
fn remembered_size_is_ldlms_not_a_later_holders() {
    let mut bench = bench();
    bench.acquired(ask("a", 1).ldlm(3));
    bench.queued(ask("a", 2).lease_ms(1_000).wait_ms(1_000));
    bench.outcome(release("a", 1));
    bench.outcome(release("a", 2));
    assert_eq!(bench.refused(ask("a", 3).ldlm(1)), Refusal::SizeMismatch { size: 3 });
    bench.acquired(ask("a", 3).ldlm(3));
}

#[test]
fn remembered_size_survives_a_holder_of_another_dialect() {
    let mut bench = bench();
    leave_a_size(&mut bench, "a", 3);
    bench.acquired(ask("a", 2));
    bench.outcome(release("a", 2));
    assert_eq!(bench.refused(ask("a", 3).ldlm(1)), Refusal::SizeMismatch { size: 3 });
}

#[test]
fn too_many_sizes_evict_those_that_end_first() {
    let mut bench = Bench::with_limits(|limits| limits.remembered_sizes_max = 2);
    for lock in ["a", "b", "c"] {
        leave_a_size(&mut bench, lock, 3);
        bench.pass_ms(1);
    }
    assert_eq!(bench.table.counts().remembered_sizes, 2);
    bench.acquired(ask("a", 2).ldlm(1));
    assert_eq!(bench.refused(ask("b", 2).ldlm(1)), Refusal::SizeMismatch { size: 3 });
    assert_eq!(bench.refused(ask("c", 2).ldlm(1)), Refusal::SizeMismatch { size: 3 });
}

#[test]
fn limit_of_zero_remembers_nothing() {
    let mut bench = Bench::with_limits(|limits| limits.remembered_sizes_max = 0);
    leave_a_size(&mut bench, "a", 3);
    assert_eq!(bench.table.counts().remembered_sizes, 0);
}

#[test]
fn free_lock_leaves_only_its_remembered_size() {
    let mut bench = bench();
    let before = bench.table.counts();
    let commands = (0..100).flat_map(|n| [acquire(ask(&format!("lock-{n}"), n)), release(&format!("lock-{n}"), n)]);
    bench.batch(commands.collect());
    assert_eq!(bench.table.counts(), before);
    assert!(bench.table.lock_view(&name("lock-1"), bench.table.now()).is_none());
    assert_eq!(bench.table.limits().remembered_sizes_max, super::kit::limits().remembered_sizes_max);
}
