//! Elections: a hold with a value, and a pause after it ends, for those who were told who leads.

use super::kit::{
    Asking, Bench, acquire, ask, caller, cancel, close, downgrade, force, release, renew, session, upgrade,
};
use super::kit_modes::{LONG_MS, grants, set_value, transfer, wait};
use latchd::domain::{Acquire, Field, Grant, Outcome, Refusal, ShareOf};

/// `election_reliable_ms` of these tables.
const RELIABLE_MS: u64 = 1_000;

fn candidate(ask: Acquire) -> Acquire {
    ask.terms(|terms| terms.value = Some("node-1".into()))
}

/// A leader with key 1 and this lease, in session 1, and a candidate that waits.
fn led(lease_ms: u64) -> (Bench, Grant) {
    let mut bench = Bench::new();
    bench.open(1, LONG_MS);
    let leader = bench.acquired(candidate(ask("a", 1).session(1).lease_ms(lease_ms)));
    bench.queued(candidate(wait("a", 2)));
    (bench, leader)
}

#[test]
fn value_is_changed_by_the_leader_only() {
    let (mut bench, leader) = led(LONG_MS);
    let before = bench.table.bytes();
    assert_eq!(bench.outcome(set_value("a", 1, "another-node")), Outcome::ValueSet(leader.clone()), "the token stays");
    assert_eq!(bench.table.bytes(), before + "another-node".len() as u64 - "node-1".len() as u64);
    bench.restored();
    assert_eq!(bench.outcome(set_value("a", 1, "")), Outcome::ValueSet(leader));
    bench.restored();
    assert_eq!(bench.refused(set_value("a", 2, "x")), Refusal::WrongKey, "a candidate is no leader yet");
    assert_eq!(bench.refused(set_value("none", 1, "x")), Refusal::NoSuchLock);
    bench.acquired(ask("plain", 3));
    bench.acquired(ask("shared", 4).shared());
    bench.acquired(ask("delayed", 5).lease_ms(9).terms(|terms| terms.lock_delay_ms = 1));
    for (lock, number) in [("plain", 3), ("shared", 4), ("delayed", 5)] {
        assert_eq!(bench.refused(set_value(lock, number, "x")), Refusal::NotElected, "{lock}");
    }
}

#[test]
fn value_above_the_limit_or_the_share_is_refused() {
    let mut bench = Bench::with_limits(|limits| limits.value_bytes_max = 6);
    let too_long = Refusal::LimitExceeded { field: Field::Value, limit: 6 };
    let long = |ask: Acquire| ask.terms(|terms| terms.value = Some("1234567".into()));
    assert_eq!(bench.refused(long(ask("a", 1).lease_ms(9))), too_long);
    bench.acquired(candidate(ask("a", 1).lease_ms(9)));
    assert_eq!(bench.refused(set_value("a", 1, "1234567")), too_long);
    assert!(matches!(bench.outcome(set_value("a", 1, "123456")), Outcome::ValueSet(_)));
    let mut bench = Bench::with_limits(|limits| (limits.table_bytes_max, limits.credential_share) = (10_000, 100));
    bench.acquired(candidate(ask("a", 1).lease_ms(9).by(caller(1, 0))));
    let full = bench.refused(set_value("a", 1, &"x".repeat(1_000)));
    assert!(matches!(full, Refusal::ShareFull { whose: ShareOf::Credential, limit: 1_000, .. }), "{full:?}");
    assert!(matches!(bench.outcome(set_value("a", 1, "x")), Outcome::ValueSet(_)));
}

#[test]
fn every_end_delays_the_next_leader() {
    type End = fn(&mut Bench);
    let ends: [(&str, End); 4] = [
        ("released", |bench| _ = bench.outcome(release("a", 1))),
        ("session closed", |bench| _ = bench.outcome(close(1))),
        ("forced", |bench| _ = bench.outcome(force("a", 1))),
        ("cancelled", |bench| _ = bench.outcome(cancel("a", 1))),
    ];
    for (how, end) in ends {
        let (mut bench, leader) = led(LONG_MS);
        bench.pass_ms(10);
        end(&mut bench);
        assert_eq!(bench.seen("a"), (0, 1), "{how}");
        let Refusal::Held(by) = bench.refused(candidate(ask("a", 3).lease_ms(9))) else { panic!("{how}") };
        assert_eq!((by.deadline.map(|until| until.0), by.token), (Some(10 + RELIABLE_MS), leader.token), "{how}");
        bench.restored();
        assert_eq!(grants(&bench.pass_ms(RELIABLE_MS).tick()), [], "{how}");
        assert_eq!(grants(&bench.pass_ms(1).tick()).len(), 1, "{how}");
        assert!(bench.is_held_by("a", &[2]));
    }
}

#[test]
fn delay_never_exceeds_the_lease() {
    let (mut bench, _) = led(300);
    bench.pass_ms(200).outcome(release("a", 1));
    let Refusal::Held(by) = bench.refused(ask("a", 3)) else { panic!("not delayed") };
    assert_eq!(by.deadline.map(|until| until.0), Some(300), "nobody relies on it for longer than its lease");
    bench.pass_ms(101).tick();
    assert!(bench.is_held_by("a", &[2]));
    let (mut bench, _) = led(300);
    bench.pass_ms(301).tick();
    assert!(bench.is_held_by("a", &[2]), "the lease is over");
}

#[test]
fn renewed_leader_is_relied_on_no_longer_than_its_lease_was_said_to_be() {
    let (mut bench, _) = led(5_000);
    assert!(matches!(bench.outcome(renew("a", 1, 10)), Outcome::Renewed(_)));
    bench.pass_ms(RELIABLE_MS).tick();
    assert!(!bench.is_held_by("a", &[2]), "before the renewal it was said to lead for a second at least");
    bench.pass_ms(1).tick();
    assert!(bench.is_held_by("a", &[2]));
}

#[test]
fn idle_leader_is_followed_after_the_delay() {
    let mut bench = Bench::new();
    bench.open(1, 10);
    bench.acquired(candidate(ask("a", 1).session(1).lease_ms(LONG_MS)));
    bench.queued(candidate(wait("a", 2)));
    bench.pass_ms(11).tick();
    assert_eq!((bench.seen("a"), bench.table.is_live(session(1))), ((0, 1), false));
    bench.pass_ms(RELIABLE_MS + 1).tick();
    assert!(bench.is_held_by("a", &[2]));
}

#[test]
fn leader_is_not_transferred_or_shared() {
    let (mut bench, _) = led(LONG_MS);
    bench.open(2, LONG_MS);
    assert_eq!(bench.refused(transfer("a", 1, 2, 5)), Refusal::NotConvertible);
    assert_eq!(bench.refused(downgrade("a", 1)), Refusal::NotConvertible);
    assert_eq!(bench.refused(upgrade("a", 1, 7, None)), Refusal::NotConvertible);
    assert!(bench.is_held_by("a", &[1]));
}

#[test]
fn candidate_without_a_lease_is_refused() {
    let mut bench = Bench::new();
    bench.open(1, LONG_MS);
    assert_eq!(bench.refused(candidate(ask("a", 1).session(1))), Refusal::NoElectionLease);
    assert_eq!(bench.refused(candidate(ask("a", 1).session(1).wait_ms(9))), Refusal::NoElectionLease);
    assert_eq!(bench.preflight(candidate(ask("a", 1).session(1))), Some(Refusal::NoElectionLease));
    bench.acquired(candidate(ask("a", 1).lease_ms(9)));
}

#[test]
fn candidates_lead_in_turn_and_a_plain_holder_leads_nobody() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 9));
    bench.queued(candidate(wait("a", 1)));
    bench.queued(candidate(wait("a", 2)));
    bench.outcome(release("a", 9));
    assert!(bench.is_held_by("a", &[1]), "the end of a plain hold delays nothing");
    bench.outcome(release("a", 1));
    assert_eq!(bench.seen("a"), (0, 1));
    bench.pass_ms(RELIABLE_MS + 1).tick();
    assert!(bench.is_held_by("a", &[2]));
    bench.restored();
}

impl Bench {
    /// What is answered without a log entry.
    fn preflight(&self, ask: Acquire) -> Option<Refusal> {
        self.table.preflight(&acquire(ask), self.table.now())
    }
}
