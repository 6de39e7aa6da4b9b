//! The history of a name: its last ended holds, and what bounds them.

use super::kit::{
    Asking, Bench, RUN, ask, caller, cancel, close, downgrade, key, limits, name, release, release_names, renew,
    session, snapshot, start, upgrade,
};
use super::kit_modes::{raise_mark, transfer};
use latchd::domain::{
    Command, Dialect, EndReason, Feature, Force, LeaderStart, Limits, Outcome, PastHold, Proof, Refusal, SHARED, Table,
    Timestamp, Token,
};
use std::time::Duration;

/// The history of a name, newest first, as a restored table has it too.
fn history(bench: &Bench, lock: &str) -> Vec<PastHold> {
    let restored = Table::restore(&mut bench.snapshot().as_slice()).expect("it can be read");
    let of = |table: &Table| table.history(&name(lock)).cloned().collect::<Vec<_>>();
    assert_eq!(of(&restored), of(&bench.table));
    assert_eq!(restored.history_size(), bench.table.history_size());
    of(&bench.table)
}

fn ends(bench: &Bench, lock: &str) -> Vec<EndReason> {
    history(bench, lock).iter().map(|past| past.why).collect()
}

fn tokens(bench: &Bench, lock: &str) -> Vec<Token> {
    history(bench, lock).iter().map(|past| past.token).collect()
}

fn force(lock: &str, number: u64, by: &str, reason: &str) -> Command {
    Command::ForceRelease { name: name(lock), key: key(number), force: Some(Box::new(Force::new(by, reason))) }
}

#[test]
fn ended_hold_is_remembered_with_owner_times_and_end() {
    let mut bench = Bench::new();
    let asked = ask("a", 1).label("deploy-7").by(caller(1, 2)).metadata(&[("host", "db-1")]).size(5);
    let grant = bench.pass_ms(10).acquired(asked.terms(|terms| terms.weight = 3));
    assert_eq!(history(&bench, "a"), [], "it goes on");
    bench.pass_ms(25).outcome(force("a", 1, "ops", "the worker hangs"));
    let [past] = &history(&bench, "a")[..] else { panic!("one") };
    assert_eq!((past.token, past.since, past.ended), (grant.token, Timestamp(10), Timestamp(35)));
    assert_eq!((past.label(), past.session(), past.dialect), (Some("deploy-7"), None, Dialect::DoubleDutch));
    assert_eq!((past.why, past.size, past.weight, past.value()), (EndReason::Forced, 5, 3, None));
    assert_eq!(past.metadata.iter().collect::<Vec<_>>(), [("host", "db-1")]);
    assert_eq!(past.force(), Some(&Force { by: "ops".into(), reason: "the worker hangs".into() }));
    assert_eq!(past.held_for(), Duration::from_millis(25));
    assert!(bench.table.lock_view(&name("a"), Timestamp(35)).is_none(), "the lock itself is forgotten");
}

#[test]
fn every_end_tells_how_it_came() {
    let mut bench = Bench::new();
    bench.open(1, 600_000);
    bench.open(2, 50);
    bench.open(3, 600_000);
    bench.acquired(ask("a", 1).lease_ms(10));
    bench.pass_ms(11).tick();
    bench.acquired(ask("a", 2).session(1));
    bench.outcome(close(1));
    bench.acquired(ask("a", 3).session(2));
    bench.pass_ms(51).tick();
    bench.acquired(ask("a", 4));
    bench.outcome(transfer("a", 4, 3, 5));
    bench.outcome(release("a", 5));
    assert_eq!(ends(&bench, "a"), [EndReason::Released, EndReason::Transferred, EndReason::SessionEnded], "the last 3");
    let timed_out: Vec<bool> = history(&bench, "a").iter().map(|past| past.timed_out).collect();
    assert_eq!(timed_out, [false, false, true]);
    assert_eq!(history(&bench, "a")[0].session(), Some(session(3)));
    bench.acquired(ask("b", 6).session(3).lease_ms(10));
    bench.pass_ms(11).tick();
    bench.acquired(ask("b", 7).session(3));
    bench.outcome(close(3));
    let of_b: Vec<_> = history(&bench, "b").iter().map(|past| (past.why, past.timed_out)).collect();
    assert_eq!(of_b, [(EndReason::SessionEnded, false), (EndReason::Expired, false)]);
}

#[test]
fn hold_that_nobody_heard_of_leaves_no_record() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.outcome(cancel("a", 1));
    bench.acquired(ask("a", 2));
    bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(50));
    bench.pass_ms(51).tick();
    bench.refused(release("a", 9));
    assert_eq!(history(&bench, "a"), []);
}

#[test]
fn hold_that_changes_its_mode_or_is_acquired_again_goes_on() {
    let mut bench = Bench::new();
    let first = bench.acquired(ask("a", 1).reentrant("x").lease_ms(60_000));
    bench.outcome(downgrade("a", 1));
    bench.outcome(upgrade("a", 1, 2, None));
    let again = bench.pass_ms(5).acquired(ask("a", 3).reentrant("x").lease_ms(60_000));
    bench.outcome(renew("a", 1, 60_000));
    assert_eq!(history(&bench, "a"), []);
    bench.outcome(release("a", 1));
    let [past] = &history(&bench, "a")[..] else { panic!("one") };
    assert!(first.token < again.token);
    assert_eq!((past.token, past.since, past.size), (again.token, first.since, 1));
}

#[test]
fn hold_of_several_names_is_remembered_under_each() {
    let mut bench = Bench::new();
    let grant = bench.acquired(ask("a", 1).names(&[("a", SHARED), ("b", 2), ("größe", 1)]));
    bench.outcome(release_names(&["a", "b", "größe"], 1));
    for (lock, size) in [("a", SHARED), ("b", 2), ("größe", 1)] {
        let [past] = &history(&bench, lock)[..] else { panic!("one of {lock}") };
        assert_eq!((past.token, past.size), (grant.token, size));
    }
}

#[test]
fn label_that_proves_the_right_to_release_is_not_kept() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).dialect(Dialect::Redis).label("value-that-is-a-proof"));
    let proof = Proof::Label { label: "value-that-is-a-proof".into(), token: None };
    bench.outcome(Command::Release { name: name("a"), session: None, proof });
    assert_eq!(history(&bench, "a")[0].label(), None);
    let bytes = bench.snapshot();
    assert!(!bytes.windows(5).any(|part| part == b"value"), "it is in the snapshot");
}

#[test]
fn oldest_of_a_name_goes_first_and_other_names_stay() {
    let mut bench = Bench::new();
    bench.acquired(ask("b", 100));
    bench.outcome(release("b", 100));
    let released: Vec<Token> = (1..=9)
        .map(|at| {
            let token = bench.acquired(ask("a", at)).token;
            bench.outcome(release("a", at));
            token
        })
        .collect();
    assert_eq!(tokens(&bench, "a"), released[6..].iter().rev().copied().collect::<Vec<_>>());
    assert_eq!(history(&bench, "b").len(), 1);
    assert_eq!(bench.table.history_size().0, 4);
}

#[test]
fn full_memory_takes_from_the_caller_that_has_most() {
    let mut bench = Bench::with_limits(|limits| limits.history_bytes_max = 40_000);
    let (quiet, flood) = (caller(1, 7), caller(2, 7));
    let mut take = |lock: &str, by| {
        bench.acquired(ask(lock, 1).by(by));
        bench.outcome(release(lock, 1));
    };
    take("mine", quiet);
    // Of one credential, from many addresses.
    (0..1_000).for_each(|at| take(&format!("flood-{at}"), caller(flood.credential, at)));
    let (count, bytes) = bench.table.history_size();
    assert!((50..200).contains(&count) && bytes <= 40_000, "{count} in {bytes} bytes");
    assert_eq!(history(&bench, "mine").len(), 1, "the older one of another caller");
    let is_kept = |at: u32| !history(&bench, &format!("flood-{at}")).is_empty();
    assert_eq!((is_kept(0), is_kept(999)), (false, true), "the oldest goes first");
}

#[test]
fn callers_without_a_credential_are_told_apart_by_address() {
    let mut bench = Bench::with_limits(|limits| limits.history_bytes_max = 40_000);
    for (lock, by) in
        [("mine".to_owned(), caller(0, 1))].into_iter().chain((0..500).map(|at| (at.to_string(), caller(0, 2))))
    {
        bench.acquired(ask(&lock, 1).by(by));
        bench.outcome(release(&lock, 1));
    }
    assert_eq!((history(&bench, "mine").len(), history(&bench, "0").len()), (1, 0));
}

#[test]
fn history_takes_nothing_from_what_callers_may_hold() {
    let mut bench = Bench::with_limits(|limits| (limits.table_bytes_max, limits.history_bytes_max) = (2_000, 1 << 20));
    let empty = bench.table.bytes();
    for at in 0..100 {
        bench.acquired(ask(&at.to_string(), 1).by(caller(1, 1)));
        bench.outcome(release(&at.to_string(), 1));
    }
    assert_eq!((bench.table.bytes(), bench.table.history_size().0), (empty, 100));
}

#[test]
fn lower_limits_hold_from_the_next_end_on_and_none_forgets_all() {
    let mut bench = Bench::new();
    (1..=3).for_each(|at| {
        bench.acquired(ask("a", at));
        bench.outcome(release("a", at));
    });
    let lead = |bench: &mut Bench, per_lock, bytes| {
        let limits = Limits { history_per_lock: per_lock, history_bytes_max: bytes, ..limits() };
        bench.lead(LeaderStart { limits, ..start(RUN) });
    };
    lead(&mut bench, 2, 1 << 20);
    assert_eq!(tokens(&bench, "a").len(), 2);
    lead(&mut bench, 2, 1);
    bench.acquired(ask("b", 4));
    bench.outcome(release("b", 4));
    assert_eq!(bench.table.history_size(), (0, 0), "none fits");
    for (per_lock, bytes) in [(0, 1 << 20), (3, 0)] {
        lead(&mut bench, 3, 1 << 20);
        bench.acquired(ask("a", 5));
        bench.outcome(release("a", 5));
        assert_eq!(history(&bench, "a").len(), 1);
        lead(&mut bench, per_lock, bytes);
        bench.acquired(ask("a", 6));
        bench.outcome(release("a", 6));
        assert_eq!((history(&bench, "a").len(), bench.table.history_size()), (0, (0, 0)));
    }
}

#[test]
fn history_begins_at_level_10() {
    let mut bench = Bench::started(LeaderStart { level: 9, ..start(RUN) });
    bench.lead(start(RUN));
    bench.acquired(ask("a", 1));
    bench.outcome(force("a", 1, "ops", "why"));
    assert_eq!(
        (history(&bench, "a"), bench.table.check_has(Feature::History)),
        (Vec::new(), Err(Refusal::NotYet { level: 10, node: None }))
    );
    assert_eq!(bench.snapshot()[0], 8, "older nodes can read it");
    let raise = Command::RaiseLevel { level: 10, limits: Some(Box::new(limits())), quotas: None };
    assert_eq!(bench.outcome(raise), Outcome::LevelRaised { level: 10 });
    bench.acquired(ask("a", 2));
    bench.outcome(release("a", 2));
    assert_eq!((ends(&bench, "a"), bench.snapshot()[0]), (vec![EndReason::Released], 9));
}

#[test]
fn ends_are_dated_by_the_clock_of_each_leadership() {
    const START: u64 = 1_800_000_000_000;
    let mut bench = Bench::started(LeaderStart { first_token: START << 10, ..start(RUN) });
    let end_at = |bench: &mut Bench, pass_ms, lock: &str| {
        bench.pass_ms(pass_ms).acquired(ask(lock, 1));
        bench.pass_ms(30).outcome(release(lock, 1));
    };
    end_at(&mut bench, 1_000, "before");
    // An hour without any node, in which cluster time stood still.
    let later = START + 1_030 + 3_600_000;
    bench.lead(LeaderStart { first_token: later << 10, ..start(RUN) });
    end_at(&mut bench, 500, "after");
    // A leader whose clock cannot be trusted.
    bench.lead(LeaderStart { first_token: 0, ..start(RUN) });
    end_at(&mut bench, 500, "mistrusted");
    let dates = |lock| {
        let past = &history(&bench, lock)[0];
        (past.acquired_at().as_millis() as u64, past.ended_at().as_millis() as u64)
    };
    assert_eq!(dates("before"), (START + 1_000, START + 1_030));
    assert_eq!(dates("after"), (later + 500, later + 530));
    assert_eq!(dates("mistrusted"), (later + 1_030, later + 1_060));
}

#[test]
fn texts_of_a_force_are_cut_at_whole_characters() {
    let force = Force::new("ops", &"ü".repeat(200));
    assert_eq!((force.by.as_str(), force.reason.len()), ("ops", Force::TEXT_BYTES_MAX));
    assert_eq!(Force::new("", &format!("x{}", "ü".repeat(200))).reason.len(), Force::TEXT_BYTES_MAX - 1);
}

#[test]
fn history_survives_a_backup() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    bench.outcome(release("a", 1));
    bench.acquired(ask("a", 2));
    let told = bench.table.last_token();
    bench.outcome(raise_mark("r", told.0));
    bench.table.begin_from_backup(1, 2, true, false);
    bench.table = Table::restore(&mut snapshot(&bench.table).as_slice()).expect("it can be read");
    assert_eq!(ends(&bench, "a"), [EndReason::SessionEnded, EndReason::Released], "a hold that was not kept has ended");
}
