//! Fencing tokens: one counter for all locks, always below 2^53.

use super::kit::{Asking, Bench, RUN, ask, name, release, start};
use latchd::domain::{Acquire, LeaderStart, Outcome, Refusal, Table, Token};

const END: u64 = 1 << 53;

/// A table with `left` tokens left.
fn bench(left: u64) -> Bench {
    let mut bench = Bench::new();
    bench.table = Table::default();
    bench.lead(LeaderStart { first_token: END - left, ..start(RUN) });
    bench
}

fn waiting(key: u64) -> Acquire {
    ask("a", key).lease_ms(1_000).wait_ms(1_000)
}

#[test]
fn all_locks_share_one_token_counter() {
    let mut bench = bench(10);
    let tokens: Vec<u64> = ["a", "b", "c"].map(|lock| bench.acquired(ask(lock, 1)).token.0).into();
    assert_eq!(tokens, [END - 10, END - 9, END - 8]);
}

#[test]
fn released_token_is_never_reissued() {
    let mut bench = bench(10);
    let first = bench.acquired(ask("a", 1)).token;
    bench.outcome(release("a", 1));
    assert!(bench.acquired(ask("a", 1)).token > first);
}

#[test]
fn acquires_are_refused_after_the_last_token() {
    let mut bench = bench(1);
    assert_eq!(bench.acquired(ask("a", 1)).token, Token(END - 1));
    assert_eq!(bench.refused(ask("b", 1)), Refusal::TokensExhausted);
    assert_eq!(bench.refused(waiting(2)), Refusal::TokensExhausted, "a wait would be in vain");
    assert_eq!(bench.table.last_token(), Token(END - 1));
}

#[test]
fn reentry_after_the_last_token_is_refused() {
    let mut bench = bench(1);
    bench.acquired(ask("a", 1).reentrant("x"));
    assert_eq!(bench.refused(ask("a", 1).reentrant("x")), Refusal::TokensExhausted);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn waiter_is_not_granted_after_the_last_token() {
    let mut bench = bench(2);
    bench.acquired(ask("a", 1));
    bench.queued(waiting(2));
    bench.acquired(ask("b", 3));
    assert_eq!(bench.outcome(release("a", 1)), Outcome::Released { waiter_granted: false, names: Vec::new() });
    assert_eq!(bench.seen("a"), (0, 1));
    bench.pass_ms(1_001).expire_all();
    assert!(bench.table.lock_view(&name("a"), bench.table.now()).is_none());
    assert_eq!(bench.table.counts().locks, 1, "only the other lock is left");
}

#[test]
fn first_token_beyond_the_end_issues_none() {
    let mut bench = Bench::new();
    bench.table = Table::default();
    bench.lead(LeaderStart { first_token: u64::MAX, ..start(RUN) });
    assert_eq!(bench.refused(ask("a", 1)), Refusal::TokensExhausted);
}

#[test]
fn first_token_of_zero_starts_at_one() {
    let mut bench = Bench::new();
    bench.table = Table::default();
    bench.lead(LeaderStart { first_token: 0, ..start(RUN) });
    assert_eq!(bench.acquired(ask("a", 1)).token, Token(1));
}
