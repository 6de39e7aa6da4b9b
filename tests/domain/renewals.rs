//! Leases: how long they run, and what renewing them does.

use super::kit::{Asking, Bench, ask, ended, key, name, renew, session};
use latchd::domain::{Command, EndReason, Grant, Outcome, Proof, Refusal, Timestamp};

#[test]
fn a_lease_ends_only_strictly_after_its_time() {
    let mut bench = Bench::new();
    let grant = bench.pass_ms(7).acquired(ask("a", 1).lease_ms(10));
    assert_eq!(grant.deadline, Some(Timestamp(17)));
    bench.pass_ms(10).tick();
    assert_eq!(bench.seen("a"), (1, 0), "an equal stamp may be a millisecond early");
    let events = bench.pass_ms(1).tick();
    assert_eq!(ended(&events), [(grant.token, EndReason::Expired)]);
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn a_lease_of_nothing_lasts_a_millisecond() {
    let mut bench = Bench::new();
    assert_eq!(bench.acquired(ask("a", 1).lease_ms(0)).deadline, Some(Timestamp(1)));
}

#[test]
fn renewing_starts_the_lease_anew_longer_or_shorter() {
    let mut bench = Bench::new();
    let grant = bench.acquired(ask("a", 1).lease_ms(100));
    bench.pass_ms(50);
    assert_eq!(
        bench.outcome(renew("a", 1, 100)),
        Outcome::Renewed(Grant { deadline: Some(Timestamp(150)), ..grant.clone() })
    );
    assert_eq!(
        bench.outcome(renew("a", 1, 5)),
        Outcome::Renewed(Grant { deadline: Some(Timestamp(55)), ..grant.clone() })
    );
    bench.pass_ms(5).tick();
    assert_eq!(bench.seen("a"), (1, 0));
    bench.pass_ms(1).tick();
    assert_eq!(bench.seen("a"), (0, 0), "the shorter lease is what counts");
}

#[test]
fn a_shortened_lease_is_seen_by_the_next_command_on_the_lock() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).lease_ms(1_000));
    bench.outcome(renew("a", 1, 5));
    bench.pass_ms(6).acquired(ask("a", 2));
}

#[test]
fn renewing_for_ever_saturates() {
    let mut bench = Bench::with_limits(|limits| limits.lease_ms_max = u64::MAX);
    bench.pass_ms(9).acquired(ask("a", 1).lease_ms(u64::MAX));
    bench.pass_ms(1_000_000).tick();
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn what_cannot_be_renewed_says_why() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    assert_eq!(bench.refused(renew("a", 1, 10)), Refusal::NoLease);
    assert_eq!(bench.refused(renew("a", 2, 10)), Refusal::WrongKey);
    assert_eq!(bench.refused(renew("b", 1, 10)), Refusal::NoSuchLock);
}

#[test]
fn a_lease_that_is_due_cannot_be_renewed() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).lease_ms(10));
    bench.pass_ms(11);
    assert_eq!(bench.refused(renew("a", 1, 10)), Refusal::NoSuchLock);
}

#[test]
fn another_session_may_renew_but_not_an_unknown_one() {
    let mut bench = Bench::new();
    bench.open(1, 1_000);
    bench.open(2, 1_000);
    bench.acquired(ask("a", 1).session(1).lease_ms(10));
    let by = |number| Command::Renew {
        name: name("a"),
        session: Some(session(number)),
        proof: Proof::Key(key(1)),
        lease_ms: 10,
    };
    assert!(matches!(bench.outcome(by(2)), Outcome::Renewed(_)));
    assert_eq!(bench.refused(by(3)), Refusal::SessionUnknown);
}
