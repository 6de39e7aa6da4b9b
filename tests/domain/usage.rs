//! Quotas: the byte limit of the table, and each caller's share of each pool.

use super::kit::{
    Asking, Bench, FIRST_TOKEN, RUN, acquire, ask, caller, cancel, close, name, open_as, release, renew, request,
    snapshot, start,
};
use super::kit_modes::raise_mark;
use latchd::domain::{
    Acquire, Caller, Command, LeaderStart, Limits, Outcome, Pool, Refusal, ShareOf, Table, Token, Undone,
};

const CI: Caller = Caller { credential: 1, address: 1 };

/// Acquires locks with different names until one is refused. Returns how many were granted.
fn fill(bench: &mut Bench, ask_of: impl Fn(u64) -> Acquire) -> (u64, Refusal) {
    for number in 100.. {
        if let Outcome::Refused(refusal) = bench.outcome(ask_of(number)) {
            return (number - 100, refusal);
        }
    }
    unreachable!("there is a limit")
}

fn one(number: u64) -> Acquire {
    ask(&format!("lock-{number}"), number).lease_ms(60_000)
}

fn restored(bench: &Bench) -> Table {
    Table::restore(&mut snapshot(&bench.table).as_slice()).expect("it can be read")
}

#[test]
fn full_table_refuses_only_what_adds_to_it() {
    let limit = 20_000;
    let mut bench = Bench::with_limits(|limits| limits.table_bytes_max = limit);
    let full = Refusal::TableFull { limit };
    bench.open(1, 100);
    let kept = bench.acquired(ask("kept", 1).request(1).lease_ms(60_000));
    bench.acquired(ask("of-label", 2).reentrant("x").lease_ms(60_000).metadata(&[("a", "b")]));
    assert_eq!(fill(&mut bench, one).1, full);
    // A session needs fewer bytes than a lock.
    let refused = (100..).find(|number| matches!(bench.outcome(open_as(*number, CI)), Outcome::Refused(_)));
    assert!(bench.table.bytes() <= limit && refused.is_some());
    // These would add something.
    assert_eq!(bench.refused(open_as(2, CI)), full);
    assert_eq!(bench.refused(ask("kept", 50).lease_ms(9).wait_ms(9)), full);
    assert_eq!(
        bench.refused(ask("of-label", 51).reentrant("x").lease_ms(9).metadata(&[("a", &"b".repeat(250))])),
        full
    );
    assert_eq!(bench.refused(ask("of-label", 51).reentrant("x").lease_ms(9).request(2)), full);
    // These add nothing.
    assert!(matches!(bench.outcome(renew("lock-100", 100, 60_000)), Outcome::Renewed(_)));
    bench.acquired(ask("of-label", 52).reentrant("x").lease_ms(9).metadata(&[("a", "c")]));
    assert_eq!(bench.acquired(ask("kept", 53).request(1).lease_ms(60_000)), kept, "a retry");
    assert!(matches!(bench.refused(ask("kept", 54)), Refusal::Held(_)));
    assert!(matches!(bench.outcome(cancel("lock-101", 101)), Outcome::Cancelled(Undone::Hold(_))));
    assert!(matches!(bench.outcome(release("lock-102", 102)), Outcome::Released { .. }));
    assert_eq!(bench.outcome(close(1)), Outcome::SessionClosed);
    bench.acquired(one(500));
    bench.pass_ms(700_000).expire_all();
    assert_eq!((bench.table.counts().holds, bench.table.bytes()), (0, 0), "all has ended");
}

#[test]
fn table_above_its_limit_serves_what_adds_nothing() {
    let mut bench = Bench::new();
    (0..20).for_each(|number| _ = bench.acquired(one(number)));
    let before = bench.table.bytes();
    let limits = || Limits { table_bytes_max: before / 2, ..super::kit::limits() };
    bench.table = restored(&bench);
    bench.lead(LeaderStart { limits: limits(), ..start(RUN) });
    let full = Refusal::TableFull { limit: before / 2 };
    assert_eq!(bench.refused(one(30)), full);
    assert!(matches!(bench.outcome(renew("lock-1", 1, 60_000)), Outcome::Renewed(_)));
    for number in 0..12 {
        assert!(matches!(bench.outcome(release(&format!("lock-{number}"), number)), Outcome::Released { .. }));
    }
    bench.acquired(one(31));
}

#[test]
fn bytes_of_waiters_and_texts_are_counted_and_freed() {
    let mut bench = Bench::new();
    let at_least = |ask: Acquire, bytes: usize, bench: &mut Bench| {
        let before = bench.table.bytes();
        bench.outcome(ask);
        assert!(bench.table.bytes() >= before + bytes as u64, "{} for {bytes}", bench.table.bytes() - before);
    };
    at_least(ask(&"n".repeat(500), 1), 500, &mut bench);
    at_least(ask("m", 2).lease_ms(9).metadata(&[("key", &"v".repeat(250))]), 250, &mut bench);
    at_least(ask("m", 3).lease_ms(9).wait_ms(9).metadata(&[("key", &"v".repeat(250))]), 500, &mut bench);
    at_least(ask("l", 4).lease_ms(9).label(&"x".repeat(200)), 200, &mut bench);
    at_least(ask(&"r".repeat(400), 5).lease_ms(9).request(1), 800, &mut bench);
    at_least(ask("idle", 6).ldlm(3), 100, &mut bench);
    bench.outcome(release(&"n".repeat(500), 1));
    bench.outcome(release("idle", 6));
    assert!(bench.table.bytes() > 0);
    bench.pass_ms(700_000).expire_all();
    // By now the waiter was granted.
    bench.pass_ms(700_000).expire_all();
    assert_eq!(bench.table.bytes(), 0);
}

/// A credential may use half of each pool and an address half of that; without a credential, half of the pool.
fn shared(pool: u64) -> Bench {
    Bench::with_limits(|limits| {
        (limits.holds_max, limits.sessions_max, limits.requests_max) = (pool, pool, pool);
        limits.marks_max = pool;
        (limits.credential_share, limits.address_share) = (500, 500);
    })
}

/// A command that uses this pool, the `number`th of this caller.
fn some_of(pool: Pool, number: u8, by: Caller) -> Command {
    let unique = by.credential as u8 * 64 + by.address as u8 * 32 + number;
    let named = ask(&format!("lock-{unique}"), 1_000 + u64::from(unique)).lease_ms(60_000).by(by);
    match pool {
        Pool::Sessions => open_as(unique, by),
        Pool::IdempotencyKeys => acquire(named.request(unique)),
        Pool::Holds | Pool::Bytes => acquire(named),
        Pool::Marks => {
            let resource = name(&format!("resource-{unique}"));
            Command::RaiseMark { resource, token: Token(FIRST_TOKEN), caller: by }
        }
    }
}

#[test]
fn credential_and_address_shares_are_enforced() {
    let refused = |pool, whose, limit| Outcome::Refused(Refusal::ShareFull { pool, whose, limit });
    for pool in [Pool::Holds, Pool::Sessions, Pool::IdempotencyKeys, Pool::Marks] {
        // A request with a key uses the pool of holds too.
        let mut bench = shared(if pool == Pool::IdempotencyKeys { 48 } else { 40 });
        bench.lead(LeaderStart {
            limits: Limits { holds_max: if pool == Pool::Holds { 40 } else { 4_000 }, ..*bench.table.limits() },
            ..start(RUN)
        });
        bench.acquired(ask("first", 1));
        let share = if pool == Pool::IdempotencyKeys { 24 } else { 20 };
        let mut take = |number: u8, by: Caller| bench.outcome(some_of(pool, number, by));
        let is_given = |outcome: Outcome| assert!(!matches!(outcome, Outcome::Refused(_)), "{pool:?}: {outcome:?}");
        (0..share as u8 / 2).for_each(|number| is_given(take(number, caller(1, 0))));
        (0..share as u8 / 2).for_each(|number| is_given(take(number, caller(1, 1))));
        let by_credential = refused(pool, ShareOf::Credential, share);
        assert_eq!(take(30, caller(1, 0)), by_credential, "{pool:?}");
        // Another credential at the same address, and no credential.
        (0..share as u8 / 2).for_each(|number| is_given(take(number, caller(2, 1))));
        assert_eq!(take(30, caller(2, 1)), refused(pool, ShareOf::Address, share / 2), "{pool:?}");
        is_given(take(0, caller(0, 1)));
        bench.table = restored(&bench);
        assert_eq!(bench.outcome(some_of(pool, 31, caller(1, 0))), by_credential, "{pool:?}: over a restart");
    }
}

#[test]
fn released_share_can_be_used_again() {
    let mut bench = shared(40);
    for number in 0..10 {
        bench.acquired(one(number).by(CI));
    }
    let full = Refusal::ShareFull { pool: Pool::Holds, whose: ShareOf::Address, limit: 10 };
    assert_eq!(bench.refused(one(30).by(CI)), full);
    bench.outcome(release("lock-1", 1));
    bench.queued(ask("lock-2", 40).lease_ms(9).wait_ms(9_000).by(CI));
    assert_eq!(bench.refused(one(31).by(CI)), full);
    assert_eq!(bench.refused(ask("lock-2", 41).lease_ms(9).wait_ms(9_000).by(CI)), full);
    // The grant uses no more than the wait.
    bench.outcome(release("lock-2", 2));
    assert_eq!(bench.seen("lock-2"), (1, 0));
    bench.acquired(one(32).by(caller(1, 2)));
}

#[test]
fn anonymous_address_has_its_own_share() {
    let mut bench = shared(40);
    let (taken, refusal) = fill(&mut bench, |number| one(number).by(caller(0, 7)));
    assert_eq!(taken, 20);
    assert_eq!(refusal, Refusal::ShareFull { pool: Pool::Holds, whose: ShareOf::Address, limit: 20 });
    bench.acquired(ask("other", 1).by(caller(0, 8)));
}

#[test]
fn smallest_share_is_eight() {
    let mut bench = shared(10);
    let (taken, _) = fill(&mut bench, |number| one(number).by(CI));
    assert_eq!(taken, 8);
    for share in [0, 1_000] {
        let mut bench = Bench::with_limits(|limits| {
            (limits.holds_max, limits.credential_share, limits.address_share) = (40, share, share);
        });
        assert_eq!(fill(&mut bench, |number| one(number).by(CI)), (40, Refusal::HoldsFull { limit: 40 }));
    }
}

#[test]
fn credential_share_limits_bytes() {
    let mut bench = Bench::with_limits(|limits| (limits.table_bytes_max, limits.credential_share) = (40_000, 500));
    let (taken, refusal) = fill(&mut bench, |number| one(number).by(CI));
    assert_eq!(refusal, Refusal::ShareFull { pool: Pool::Bytes, whose: ShareOf::Credential, limit: 20_000 });
    assert!(taken > 5 && bench.table.bytes() <= 20_000);
    let (taken, refusal) = fill(&mut bench, |number| one(number + 1_000).by(caller(2, 1)));
    assert!(taken > 5 && !matches!(refusal, Refusal::Held(_)), "{refusal:?}");
}

#[test]
fn quota_counts_commands_on_their_way_to_the_log() {
    let mut bench = Bench::with_limits(|limits| limits.table_bytes_max = 10_000);
    bench.acquired(ask("kept", 1).request(1).lease_ms(60_000));
    let new = acquire(one(3));
    assert_eq!(bench.table.check_room(&new, 1), Ok(()));
    assert_eq!(bench.table.check_room(&new, 9_500), Err(Refusal::TableFull { limit: 10_000 }));
    assert!(matches!(bench.outcome(raise_mark("marked", FIRST_TOKEN)), Outcome::MarkRaised { .. }));
    assert_eq!(bench.table.check_room(&raise_mark("marked", FIRST_TOKEN), 1 << 40), Ok(()), "it adds nothing");
    assert!(bench.table.check_room(&raise_mark("new", FIRST_TOKEN), 10_000).is_err());
    let retry = acquire(ask("kept", 9).edit(|ask| ask.idempotency_key = Some(request(1, 0))));
    for passes in [retry, release("kept", 1), renew("kept", 1, 9), close(1), cancel("kept", 1)] {
        assert_eq!(bench.table.check_room(&passes, 1 << 40), Ok(()), "{passes:?}");
    }
}
