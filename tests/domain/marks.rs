//! High-water marks: a resource accepts no lower token than the highest that it has seen.

use super::kit::{Asking, Bench, FIRST_TOKEN, ask, caller, name};
use super::kit_modes::raise_mark;
use latchd::domain::{Command, Field, Outcome, Refusal, ShareOf, Token};

const IDLE_MS: u64 = 600_000;

/// A table that has issued this many tokens.
fn issued(count: u64) -> Bench {
    let mut bench = Bench::new();
    (0..count).for_each(|number| _ = bench.acquired(ask(&format!("lock-{number}"), number)));
    bench
}

fn raised(bench: &mut Bench, resource: &str, token: u64) {
    assert_eq!(bench.outcome(raise_mark(resource, token)), Outcome::MarkRaised { mark: Token(token) });
}

#[test]
fn mark_rises_and_accepts_no_lower_token() {
    let mut bench = issued(3);
    raised(&mut bench, "r", FIRST_TOKEN + 1);
    let below = Refusal::TokenBelowMark { mark: Token(FIRST_TOKEN + 1) };
    assert_eq!(bench.refused(raise_mark("r", FIRST_TOKEN)), below);
    raised(&mut bench, "r", FIRST_TOKEN + 1);
    raised(&mut bench, "r", FIRST_TOKEN + 2);
    assert_eq!(
        bench.refused(raise_mark("r", FIRST_TOKEN + 1)),
        Refusal::TokenBelowMark { mark: Token(FIRST_TOKEN + 2) }
    );
    raised(&mut bench, "other", FIRST_TOKEN);
    bench.restored();
}

#[test]
fn token_that_was_never_issued_is_refused() {
    let mut bench = issued(1);
    for token in [0, FIRST_TOKEN + 1, Token::END, u64::MAX] {
        assert_eq!(bench.refused(raise_mark("r", token)), Refusal::TokenNotIssued, "{token}");
    }
    raised(&mut bench, "r", FIRST_TOKEN);
}

#[test]
fn mark_outlives_the_holds_whose_tokens_it_has_seen() {
    let mut bench = issued(2);
    raised(&mut bench, "r", FIRST_TOKEN + 1);
    bench.outcome(super::kit::release("lock-0", 0));
    bench.outcome(super::kit::release("lock-1", 1));
    assert!(matches!(bench.refused(raise_mark("r", FIRST_TOKEN)), Refusal::TokenBelowMark { .. }));
}

#[test]
fn marks_are_limited_in_number_and_name() {
    let mut bench = Bench::with_limits(|limits| limits.marks_max = 2);
    let token = bench.acquired(ask("a", 1)).token.0;
    raised(&mut bench, "r", token);
    raised(&mut bench, "s", token);
    assert_eq!(bench.refused(raise_mark("t", token)), Refusal::MarksFull { limit: 2 });
    raised(&mut bench, "r", token);
    assert_eq!(bench.refused(raise_mark("a\0", token)), Refusal::NulInName);
    let too_long = Refusal::LimitExceeded { field: Field::Name, limit: 512 };
    assert_eq!(bench.refused(raise_mark(&"x".repeat(513), token)), too_long);
    bench.pass_ms(IDLE_MS + 1);
    raised(&mut bench, "t", token);
}

#[test]
fn unused_mark_is_forgotten_after_its_idle_time() {
    let mut bench = issued(2);
    raised(&mut bench, "r", FIRST_TOKEN + 1);
    bench.pass_ms(IDLE_MS);
    raised(&mut bench, "r", FIRST_TOKEN + 1);
    bench.pass_ms(IDLE_MS);
    assert!(
        matches!(bench.refused(raise_mark("r", FIRST_TOKEN)), Refusal::TokenBelowMark { .. }),
        "its time started again"
    );
    bench.restored();
    let bytes = bench.table.bytes();
    bench.pass_ms(1).tick();
    assert!(bench.table.bytes() < bytes && bench.table.next_deadline().is_none());
    raised(&mut bench, "r", FIRST_TOKEN);
}

#[test]
fn mark_is_restored_with_its_end() {
    let mut bench = issued(2);
    raised(&mut bench, "r", FIRST_TOKEN + 1);
    bench.table = bench.restored();
    assert!(matches!(bench.refused(raise_mark("r", FIRST_TOKEN)), Refusal::TokenBelowMark { .. }));
    bench.pass_ms(IDLE_MS + 1);
    raised(&mut bench, "r", FIRST_TOKEN);
}

#[test]
fn mark_counts_for_the_caller_who_made_it() {
    let mut bench = Bench::with_limits(|limits| (limits.table_bytes_max, limits.credential_share) = (10_000, 100));
    let token = bench.acquired(ask("a", 1).by(caller(2, 0))).token;
    let raise = |number: u64, by| {
        let (resource, caller) = (name(&format!("resource-{number}")), caller(by, 0));
        Command::RaiseMark { resource, token, caller }
    };
    let refused = (0..).find_map(|number| match bench.outcome(raise(number, 1)) {
        Outcome::Refused(refusal) => Some((number, refusal)),
        _ => None,
    });
    let (count, refusal) = refused.expect("there is a limit");
    assert!(matches!(refusal, Refusal::ShareFull { whose: ShareOf::Credential, limit: 1_000, .. }), "{refusal:?}");
    assert!(matches!(bench.outcome(raise(0, 1)), Outcome::MarkRaised { .. }), "a mark that is there adds nothing");
    assert!(matches!(bench.outcome(raise(count, 3)), Outcome::MarkRaised { .. }), "another caller has its own share");
    bench.restored();
    bench.pass_ms(IDLE_MS + 1).tick();
    assert!(matches!(bench.outcome(raise(0, 1)), Outcome::MarkRaised { .. }));
}
