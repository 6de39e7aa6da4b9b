//! Release: what proves the right to it, and the refusals of a wrong proof.

use super::kit::{Asking, Bench, FIRST_TOKEN, ask, ended, force, key, name, release, session};
use latchd::domain::{Command, Dialect, EndReason, Event, Outcome, Proof, Refusal, Token};

fn release_by(proof: Proof) -> Command {
    Command::Release { name: name("a"), session: None, proof }
}

fn label(label: &str, token: Option<u64>) -> Command {
    release_by(Proof::Label { label: label.into(), token: token.map(Token) })
}

const RELEASED: Outcome = Outcome::Released { waiter_granted: false, names: Vec::new() };

#[test]
fn key_releases_only_its_own_hold_once() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).size(2));
    bench.acquired(ask("a", 2).size(2));
    assert_eq!(bench.refused(release("a", 3)), Refusal::WrongKey);
    assert_eq!(bench.refused(release("b", 1)), Refusal::NoSuchLock);
    assert_eq!(bench.outcome(release("a", 1)), RELEASED);
    assert_eq!(bench.refused(release("a", 1)), Refusal::WrongKey);
    assert_eq!(bench.outcome(release("a", 2)), RELEASED);
    assert_eq!(bench.refused(release("a", 2)), Refusal::NoSuchLock);
}

#[test]
fn release_by_dialect_releases_only_its_own_holds() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).dialect(Dialect::RaftLockRest));
    let by_name = release_by(Proof::TakenBy(Dialect::LockdRest));
    assert_eq!(bench.refused(by_name.clone()), Refusal::WrongKey);
    bench.outcome(release("a", 1));
    bench.acquired(ask("a", 2).dialect(Dialect::LockdRest));
    assert_eq!(bench.outcome(by_name), RELEASED);
}

#[test]
fn label_releases_with_the_right_token_or_none() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).label("x").size(2));
    assert_eq!(bench.refused(label("y", None)), Refusal::NotOwner);
    assert_eq!(bench.refused(label("x", Some(FIRST_TOKEN + 1))), Refusal::TokenMismatch);
    assert_eq!(bench.outcome(label("x", Some(FIRST_TOKEN))), RELEASED);
    bench.acquired(ask("a", 2).label("x").size(2));
    assert_eq!(bench.outcome(label("x", None)), RELEASED);
}

#[test]
fn label_does_not_release_a_sessions_hold() {
    let mut bench = Bench::new();
    bench.open(1, 1_000);
    bench.acquired(ask("a", 1).session(1).label("x"));
    assert_eq!(bench.refused(label("x", None)), Refusal::NotOwner);
}

#[test]
fn another_live_session_may_release() {
    let mut bench = Bench::new();
    bench.open(1, 1_000);
    bench.open(2, 1_000);
    bench.acquired(ask("a", 1).session(1));
    let by = |number| Command::Release { name: name("a"), session: Some(session(number)), proof: Proof::Key(key(1)) };
    assert_eq!(bench.refused(by(3)), Refusal::SessionUnknown);
    assert_eq!(bench.outcome(by(2)), RELEASED);
    let view = bench.table.session_view(session(1)).expect("it lives on");
    assert_eq!(view.holds, 0);
}

#[test]
fn release_reports_whether_a_waiter_was_granted() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).lease_ms(10).wait_ms(10));
    assert_eq!(bench.outcome(release("a", 1)), Outcome::Released { waiter_granted: true, names: Vec::new() });
}

#[test]
fn force_release_grants_to_the_next_waiter() {
    let mut bench = Bench::new();
    let token = bench.acquired(ask("a", 1)).token;
    let waiting = bench.queued(ask("a", 2).lease_ms(10).wait_ms(10));
    assert_eq!(bench.refused(force("a", 3)), Refusal::WrongKey);
    assert_eq!(bench.refused(force("b", 1)), Refusal::NoSuchLock);
    let (outcome, events) = bench.run(force("a", 1));
    assert_eq!(outcome, Outcome::Released { waiter_granted: true, names: Vec::new() });
    assert_eq!(ended(&events), [(token, EndReason::Forced)]);
    assert!(matches!(&events[1], Event::WaiterGranted { command, .. } if *command == waiting));
}
