//! Leases: how long they last, and what a renewal does.

use super::kit::{Asking, Bench, ask, ended, key, name, renew, session};
use latchd::domain::{Command, EndReason, Grant, Outcome, Proof, Refusal, Timestamp};

#[test]
fn lease_ends_only_strictly_after_its_deadline() {
    let mut bench = Bench::new();
    let grant = bench.pass_ms(7).acquired(ask("a", 1).lease_ms(10));
    assert_eq!(grant.deadline, Some(Timestamp(17)));
    bench.pass_ms(10).tick();
    assert_eq!(bench.seen("a"), (1, 0), "an equal timestamp may be a millisecond early");
    let events = bench.pass_ms(1).tick();
    assert_eq!(ended(&events), [(grant.token, EndReason::Expired)]);
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn lease_of_zero_lasts_one_millisecond() {
    let mut bench = Bench::new();
    assert_eq!(bench.acquired(ask("a", 1).lease_ms(0)).deadline, Some(Timestamp(1)));
}

#[test]
fn renewal_restarts_the_lease_longer_or_shorter() {
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
    assert_eq!(bench.seen("a"), (0, 0), "the shorter lease counts");
}

#[test]
fn shortened_lease_expires_before_the_next_command() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).lease_ms(1_000));
    bench.outcome(renew("a", 1, 5));
    bench.pass_ms(6).acquired(ask("a", 2));
}

#[test]
fn longest_renewal_saturates() {
    let mut bench = Bench::with_limits(|limits| limits.lease_ms_max = u64::MAX);
    bench.pass_ms(9).acquired(ask("a", 1).lease_ms(u64::MAX));
    bench.pass_ms(1_000_000).tick();
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn refused_renewals_say_why() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    assert_eq!(bench.refused(renew("a", 1, 10)), Refusal::NoLease);
    assert_eq!(bench.refused(renew("a", 2, 10)), Refusal::WrongKey);
    assert_eq!(bench.refused(renew("b", 1, 10)), Refusal::NoSuchLock);
}

#[test]
fn expired_lease_cannot_be_renewed() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).lease_ms(10));
    bench.pass_ms(11);
    assert_eq!(bench.refused(renew("a", 1, 10)), Refusal::NoSuchLock);
}

#[test]
fn another_live_session_may_renew() {
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
