//! Quotas: how many holds, sessions and waiters one credential may have, or all callers together under a prefix.

use super::kit::{
    Asking, Bench, RUN, acquire, ask, cancel, close, force, open_as, release, session, snapshot, start, upgrade,
};
use latchd::domain::{
    Acquire, Caller, Command, Counted, EndReason, FEATURE_LEVEL, Feature, Force, Incarnation, LeaderStart, Outcome,
    Quota, QuotaFull, QuotaLimits, QuotaOf, Quotas, Refusal, SHARED, SessionForce, Table, Upgrade,
};
use std::sync::Arc;

const CI: Caller = Caller { credential: 1, address: 1 };
const OPS: Caller = Caller { credential: 2, address: 1 };

pub fn of(holds_max: Option<u64>, sessions_max: Option<u64>, waiters_max: Option<u64>) -> QuotaLimits {
    QuotaLimits { holds_max, sessions_max, waiters_max }
}

pub fn quotas(all: impl IntoIterator<Item = (QuotaOf, QuotaLimits)>) -> Option<Arc<Quotas>> {
    let mut quotas = Quotas::default();
    all.into_iter().for_each(|(of, limits)| assert!(quotas.insert(Quota { of, limits })));
    Some(Arc::new(quotas))
}

fn ci() -> QuotaOf {
    QuotaOf::Credential { credential: 1, name: "ci".into() }
}

fn under(prefix: &str) -> QuotaOf {
    QuotaOf::Prefix(prefix.into())
}

fn full(of: QuotaOf, counted: Counted, limit: u64) -> Refusal {
    Refusal::QuotaFull(Box::new(QuotaFull { of, counted, limit }))
}

fn bench(all: impl IntoIterator<Item = (QuotaOf, QuotaLimits)>) -> Bench {
    let mut bench = Bench::started(LeaderStart { quotas: quotas(all), ..start(RUN) });
    bench.acquired(ask("busy", 1));
    bench
}

fn one(number: u64, by: Caller) -> Acquire {
    ask(&format!("lock-{number}"), 100 + number).lease_ms(60_000).by(by)
}

fn waiting(number: u64, by: Caller) -> Acquire {
    ask("busy", 200 + number).lease_ms(60_000).wait_ms(60_000).by(by)
}

/// Refused by apply and, alike, before it.
fn refused(bench: &mut Bench, command: impl Into<Box<Acquire>>) -> Refusal {
    let command = Command::Acquire(command.into());
    let preflight = bench.table.preflight(&command, bench.table.now());
    let refusal = bench.refused(command);
    assert_eq!(preflight, Some(refusal.clone()));
    refusal
}

#[test]
fn credential_is_held_to_its_own_quota_and_others_to_that_of_each() {
    let mut bench = bench([(ci(), of(Some(3), None, Some(2))), (QuotaOf::EachCredential, of(Some(1), None, None))]);
    bench.acquired(one(1, CI));
    bench.queued(waiting(1, CI));
    bench.queued(waiting(2, CI));
    // A waiter is going to be a hold.
    assert_eq!(refused(&mut bench, one(2, CI)), full(ci(), Counted::Holds, 3));
    bench.outcome(release("lock-1", 101));
    assert_eq!(refused(&mut bench, waiting(3, CI)), full(ci(), Counted::Waiters, 2));
    bench.acquired(one(2, CI));
    bench.outcome(release("lock-2", 102));
    bench.outcome(cancel("busy", 201));
    bench.queued(waiting(4, CI));
    // What was granted to a waiter counts on, but not as a waiter.
    bench.outcome(release("busy", 1));
    bench.queued(waiting(5, CI));
    assert_eq!(refused(&mut bench, one(3, CI)), full(ci(), Counted::Holds, 3));
    bench.acquired(one(4, OPS));
    assert_eq!(refused(&mut bench, one(5, OPS)), full(QuotaOf::EachCredential, Counted::Holds, 1));
    (6..20).for_each(|number| _ = bench.acquired(one(number, Caller::NOBODY)));
}

#[test]
fn sessions_of_a_credential_are_bounded_until_they_have_ended() {
    let mut bench = bench([(ci(), of(None, Some(2), None))]);
    bench.outcome(open_as(1, CI));
    bench.outcome(open_as(2, CI));
    let refusal = full(ci(), Counted::Sessions, 2);
    assert_eq!(bench.table.preflight(&open_as(3, CI), bench.table.now()), Some(refusal.clone()));
    assert_eq!(bench.refused(open_as(3, CI)), refusal);
    bench.outcome(open_as(4, OPS));
    bench.outcome(close(1));
    assert_eq!(bench.outcome(open_as(3, CI)), Outcome::SessionOpened { session: session(3) });
}

#[test]
fn prefix_bounds_all_callers_together_and_a_set_counts_each_of_its_names() {
    let mut bench =
        bench([(under("build/"), of(Some(3), None, Some(1))), (under("build/app/"), of(Some(2), None, None))]);
    let named = |lock: &str, key, by| ask(lock, key).lease_ms(60_000).by(by);
    bench.acquired(named("build/app/a", 10, CI));
    let two = [("build/app/b", 1), ("build/app/c", 1)];
    assert_eq!(
        refused(&mut bench, named("build/app/b", 11, CI).names(&two)),
        full(under("build/app/"), Counted::Holds, 2)
    );
    bench.acquired(named("other", 12, CI).names(&[("other", 1), ("build/x", 1)]));
    bench.queued(named("build/x", 13, OPS).wait_ms(60_000));
    assert_eq!(refused(&mut bench, named("build/y", 14, Caller::NOBODY)), full(under("build/"), Counted::Holds, 3));
    bench.outcome(force("build/app/a", 10));
    assert_eq!(
        refused(&mut bench, named("build/x", 15, OPS).wait_ms(60_000)),
        full(under("build/"), Counted::Waiters, 1)
    );
    bench.acquired(named("build", 16, OPS));
    assert_eq!(bench.table.usages().under(&"build/".into()).holds, 2);
    bench.outcome(cancel("build/x", 13));
    bench.outcome(super::kit::release_names(&["other", "build/x"], 12));
    assert_eq!(bench.table.usages().under(&"build/".into()), Default::default());
}

#[test]
fn upgrade_that_waits_needs_a_place_and_takes_it_once() {
    let mut bench = bench([(ci(), of(None, None, Some(1))), (under("up"), of(Some(3), None, None))]);
    for key in [10, 11] {
        bench.acquired(ask("up", key).shared().lease_ms(60_000).by(CI));
    }
    let by_ci = |command: Command| match command {
        Command::Upgrade(upgrade) => Command::Upgrade(Box::new(Upgrade { caller: CI, ..*upgrade })),
        other => other,
    };
    bench.queued(waiting(1, CI));
    assert_eq!(bench.refused(by_ci(upgrade("up", 10, 12, Some(9_000)))), full(ci(), Counted::Waiters, 1));
    bench.outcome(cancel("busy", 201));
    bench.queued(by_ci(upgrade("up", 10, 12, Some(9_000))));
    assert_eq!(refused(&mut bench, ask("up-2", 13).by(OPS).lease_ms(9)), full(under("up"), Counted::Holds, 3));
    bench.queued(by_ci(upgrade("up", 10, 14, Some(9_000))));
    assert_eq!(bench.table.usages().of_credential(1).waiters, 1, "in the place of the first");
}

#[test]
fn retries_and_reentries_need_no_room() {
    let mut bench = bench([(ci(), of(Some(2), None, None))]);
    let grant = bench.acquired(one(1, CI).request(1));
    bench.acquired(one(2, CI).reentrant("x"));
    assert_eq!(bench.acquired(one(1, CI).request(1)), grant);
    bench.acquired(one(2, CI).reentrant("x"));
    assert_eq!(refused(&mut bench, one(3, CI).request(2)), full(ci(), Counted::Holds, 2));
}

#[test]
fn next_leader_brings_its_quotas_and_what_is_above_them_stays() {
    let mut bench = bench([(under("old/"), of(Some(9), None, None))]);
    for (number, lock) in ["build/1", "build/2", "build/3", "old/1"].into_iter().enumerate() {
        bench.acquired(ask(lock, 10 + number as u64).lease_ms(60_000).by(CI));
    }
    bench.outcome(ask("build/1", 20).label("x").lease_ms(9_000).detached_ms(60_000).by(OPS));
    let next = quotas([(under("build/"), of(Some(4), None, None)), (ci(), of(Some(1), None, None))]);
    bench.lead(LeaderStart { quotas: next, ..start(Incarnation(5)) });
    bench.from(Incarnation(5));
    let usages = bench.table.usages();
    let counted = [usages.under(&"build/".into()), usages.under(&"old/".into())].map(|usage| usage.holds);
    assert_eq!((counted, usages.under(&"build/".into()).waiters), ([4, 0], 1));
    assert_eq!(refused(&mut bench, ask("build/4", 30).by(OPS)), full(under("build/"), Counted::Holds, 4));
    assert_eq!(refused(&mut bench, ask("x", 31).by(CI)), full(ci(), Counted::Holds, 1));
    assert_eq!(bench.table.counts().holds, 5);
    // As a node counts that has it from a snapshot.
    let restored = Table::restore(&mut snapshot(&bench.table).as_slice()).expect("it can be read");
    assert_eq!(restored.usages(), bench.table.usages());
    bench.lead(LeaderStart { quotas: None, ..start(Incarnation(6)) });
    bench.from(Incarnation(6));
    bench.acquired(ask("x", 31).by(CI));
    assert!(bench.table.quota_uses().is_empty());
}

#[test]
fn uses_are_those_of_the_caller_and_of_prefixes_that_it_sees() {
    let each = QuotaOf::EachCredential;
    let mut bench = bench([
        (ci(), of(Some(9), Some(8), None)),
        (each.clone(), of(Some(7), None, None)),
        (under("a/"), of(Some(6), None, Some(5))),
    ]);
    bench.acquired(ask("a/1", 10).by(CI));
    bench.acquired(ask("b", 11).by(OPS));
    bench.queued(ask("a/1", 12).by(OPS).lease_ms(9).wait_ms(60_000));
    let shown = |uses: Vec<latchd::domain::view::QuotaUse>| {
        uses.into_iter()
            .map(|quota| (quota.of.to_string(), quota.counted.key(), quota.used, quota.limit))
            .collect::<Vec<_>>()
    };
    let of_each = ("each credential".to_owned(), "holds_max", 2, 7);
    let of_ci = [("credential ci".to_owned(), "holds_max", 1, 9), ("credential ci".to_owned(), "sessions_max", 0, 8)];
    let of_a = [("prefix a/".to_owned(), "holds_max", 2, 6), ("prefix a/".to_owned(), "waiters_max", 1, 5)];
    let all = [&of_ci[..], std::slice::from_ref(&of_each), &of_a].concat();
    assert_eq!(shown(bench.table.quota_uses()), all);
    assert_eq!(shown(bench.table.quota_uses_of(CI, |_| false)), of_ci);
    assert_eq!(shown(bench.table.quota_uses_of(OPS, |prefix| prefix == "a/")), [&[of_each][..], &of_a].concat());
}

#[test]
fn quotas_need_their_level() {
    let level = Feature::Quotas as u32 - 1;
    let all = || quotas([(ci(), of(Some(1), None, None))]);
    let mut bench = Bench::started(LeaderStart { level, quotas: all(), ..start(RUN) });
    bench.acquired(one(1, CI));
    bench.acquired(one(2, CI));
    bench.lead(LeaderStart { quotas: all(), ..start(Incarnation(5)) });
    bench.from(Incarnation(5));
    bench.acquired(one(3, CI));
    bench.outcome(Command::RaiseLevel { level: FEATURE_LEVEL, limits: None, quotas: all() });
    assert_eq!(refused(&mut bench, one(4, CI)), full(ci(), Counted::Holds, 1));
}

#[test]
fn session_that_an_operator_ends_is_told_in_the_histories_of_all_its_locks() {
    let force = Force::new("ops", "it hangs");
    let mut bench = Bench::new();
    bench.open(1, 60_000);
    bench.open(2, 60_000);
    // More than one entry may end.
    (0..1_500).for_each(|number| _ = bench.acquired(one(number, CI).session(1).size(SHARED)));
    (0..9).for_each(|number| _ = bench.acquired(ask(&format!("lock-{number}"), 5_000 + number).session(2).shared()));
    bench.outcome(Command::CloseSession { session: session(1), force: Some(SessionForce(Box::new(force.clone()))) });
    let (outcome, _) = bench.run(close(2));
    assert_eq!(outcome, Outcome::SessionClosed);
    bench.expire_all();
    let told = |number: u64| {
        let past = bench.table.history(&format!("lock-{number}").as_str().into()).cloned().collect::<Vec<_>>();
        past.into_iter().map(|past| (past.session(), past.why, past.force().cloned())).collect::<Vec<_>>()
    };
    for number in [0, 8, 700, 1_499] {
        let by_force = (Some(session(1)), EndReason::SessionEnded, Some(force.clone()));
        assert!(told(number).contains(&by_force), "{number}: {:?}", told(number));
        let by_client = (Some(session(2)), EndReason::SessionEnded, None);
        assert_eq!(told(number).contains(&by_client), number < 9);
    }
    assert_eq!(bench.refused(acquire(ask("x", 9_000).session(1))), Refusal::SessionUnknown);
}
