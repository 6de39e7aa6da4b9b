//! Freezes: nothing new is granted under a target until an end.

use super::kit::{
    Asking, Bench, RUN, acquire, ask, downgrade, ended, granted, key, limits, name, open, release, renew, snapshot,
    start, upgrade,
};
use super::kit_modes::{LONG_MS, keys, raise_mark, resize, transfer, wait, wait_ends};
use latchd::domain::{
    Applied, Command, Covers, EndReason, Event, FEATURE_LEVEL, Feature, Field, Force, Freeze, FreezeHolds, FreezeOrder,
    FrozenBy, Incarnation, LeaderStart, Limits, NodeId, Outcome, Refusal, Table, ThawReason, Timestamp, WaitEnd,
};

const MAX_MS: u64 = 1_000_000;

pub fn with_freezes(limits: &mut Limits) {
    (limits.freeze_ms_max, limits.freezes_max) = (MAX_MS, 3);
}

fn bench() -> Bench {
    Bench::with_limits(with_freezes)
}

fn order(target: &str, covers: Covers, for_ms: u64) -> FreezeOrder {
    let (holds, reason, by) = (FreezeHolds::Drain, "release 7".into(), "ops".into());
    FreezeOrder { target: name(target), covers, holds, for_ms, reason, by }
}

fn freeze(order: FreezeOrder) -> Command {
    Command::Freeze(Box::new(order))
}

fn freeze_name(target: &str, for_ms: u64) -> Command {
    freeze(order(target, Covers::Name, for_ms))
}

fn freeze_prefix(target: &str, for_ms: u64) -> Command {
    freeze(order(target, Covers::Prefix, for_ms))
}

fn ending_holds(order: FreezeOrder) -> Command {
    freeze(FreezeOrder { holds: FreezeHolds::Break, ..order })
}

fn thaw(target: &str) -> Command {
    Command::Thaw { target: name(target) }
}

fn frozen(bench: &mut Bench, command: Command) -> Freeze {
    match bench.outcome(command) {
        Outcome::Frozen(freeze) => *freeze,
        other => panic!("not frozen: {other:?}"),
    }
}

fn by(target: &str, covers: Covers, remaining_ms: u64, waited: bool) -> Box<FrozenBy> {
    Box::new(FrozenBy { target: name(target), covers, reason: "release 7".into(), remaining_ms, waited })
}

/// The events of freezes in short.
fn said(events: &[Event]) -> Vec<String> {
    let say = |event: &Event| match event {
        Event::Frozen { target, .. } => Some(format!("frozen {target}")),
        Event::Thawed { target, why, .. } => Some(format!("{why:?} {target}")),
        _ => None,
    };
    events.iter().filter_map(say).collect()
}

#[test]
fn frozen_name_is_refused_with_reason_and_end_and_a_waiter_is_parked() {
    let mut bench = bench();
    assert_eq!(frozen(&mut bench, freeze_prefix("deploy/", 100)).until, Timestamp(100));
    bench.pass_ms(40);
    let refusal = Refusal::Frozen(by("deploy/", Covers::Prefix, 60, false));
    assert_eq!(bench.refused(ask("deploy/a", 1)), refusal);
    bench.acquired(ask("deploy", 2));
    let first = bench.queued(wait("deploy/a", 3));
    let second = bench.queued(wait("deploy/a", 4));
    assert_eq!((bench.seen("deploy/a"), bench.table.counts().freezes), ((0, 2), 1));
    assert_eq!(bench.refused(ask("deploy/a", 5)), refusal, "the freeze is told, and not who waits");
    let (outcome, events) = bench.run(thaw("deploy/"));
    assert!(matches!(outcome, Outcome::Thawed(freeze) if freeze.reason == "release 7"));
    assert_eq!((granted(&events), said(&events)), (vec![(first, false)], vec!["Thawed deploy/".to_owned()]));
    assert_eq!(granted(&bench.run(release("deploy/a", 3)).1), [(second, false)]);
}

#[test]
fn end_of_a_freeze_comes_by_itself_strictly_after_its_moment() {
    let mut bench = bench();
    let (_, events) = bench.run(freeze_name("a", 100));
    assert_eq!(said(&events), ["frozen a"]);
    let waiting = bench.queued(wait("a", 1));
    assert_eq!((bench.pass_ms(100).tick(), bench.table.next_deadline()), (vec![], Some(Timestamp(100))));
    let events = bench.pass_ms(1).tick();
    assert_eq!((granted(&events), said(&events)), (vec![(waiting, false)], vec!["Ended a".to_owned()]));
    assert_eq!(bench.refused(thaw("a")), Refusal::NoSuchFreeze);
    bench.acquired(ask("ab", 2));
}

#[test]
fn wait_that_times_out_under_a_freeze_tells_of_it() {
    let mut bench = bench();
    bench.acquired(ask("held", 9));
    for (lock, told) in
        [("a", Some(by("", Covers::Prefix, 949, true))), ("held", Some(by("held", Covers::Name, 9_949, true)))]
    {
        bench.outcome(freeze_prefix("", 1_000));
        bench.outcome(freeze_name("held", 10_000));
        let waiting = bench.queued(ask(lock, 1).lease_ms(9).wait_ms(50));
        let events = bench.pass_ms(51).tick();
        assert_eq!(events, [Event::WaiterEnded { command: waiting, why: WaitEnd::TimedOut, frozen: told }]);
    }
    bench.outcome(thaw(""));
    bench.outcome(thaw("held"));
    let waiting = bench.queued(ask("held", 2).lease_ms(9).wait_ms(50));
    let (why, frozen) = (WaitEnd::TimedOut, None);
    assert_eq!(bench.pass_ms(51).tick(), [Event::WaiterEnded { command: waiting, why, frozen }]);
}

#[test]
fn hold_under_a_draining_freeze_goes_on() {
    let mut bench = bench();
    bench.open(1, LONG_MS);
    bench.acquired(ask("a", 1).lease_ms(100).reentrant("x"));
    let kept = bench.acquired(ask("retried", 2).request(1));
    bench.acquired(ask("moved", 3));
    bench.acquired(ask("read", 4).shared());
    let counted = bench.acquired(ask("counted", 5).size(2));
    frozen(&mut bench, freeze_prefix("", 1_000));
    assert!(matches!(bench.outcome(renew("a", 1, 200)), Outcome::Renewed(_)));
    assert!(bench.acquired(ask("a", 6).lease_ms(300).reentrant("x")).token > counted.token, "its label asks again");
    assert_eq!(bench.acquired(ask("retried", 7).request(1)), kept);
    bench.changed(transfer("moved", 3, 1, 8));
    assert!(matches!(bench.outcome(resize("counted", 5)), Outcome::Resized { .. }));
    assert!(matches!(bench.refused(ask("counted", 9).size(5)), Refusal::Frozen(_)), "there is room");
    bench.outcome(raise_mark("a", counted.token.0));
    bench.changed(downgrade("moved", 8));
    assert!(matches!(bench.refused(ask("moved", 9).shared()), Refusal::Frozen(_)));
    assert!(matches!(bench.outcome(release("a", 1)), Outcome::Released { .. }));
    assert!(matches!(bench.refused(ask("a", 9).reentrant("x")), Refusal::Frozen(_)), "its hold has ended");
}

#[test]
fn upgrade_is_a_new_grant() {
    let mut bench = bench();
    bench.acquired(ask("a", 1).shared());
    frozen(&mut bench, freeze_name("a", 100));
    assert_eq!(bench.refused(upgrade("a", 1, 2, None)), Refusal::Frozen(by("a", Covers::Name, 100, false)));
    let waiting = bench.queued(upgrade("a", 1, 2, Some(LONG_MS)));
    assert_eq!(granted(&bench.pass_ms(101).tick()), [(waiting, false)]);
    frozen(&mut bench, freeze_name("a", 100));
    bench.changed(upgrade("a", 1, 3, None));
}

#[test]
fn set_of_names_is_frozen_with_any_of_them() {
    let mut bench = bench();
    frozen(&mut bench, freeze_name("b", 100));
    frozen(&mut bench, freeze_name("c", 200));
    let set = |key| ask("a", key).names(&[("a", 1), ("b", 1), ("c", 1)]).lease_ms(LONG_MS);
    assert_eq!(bench.refused(set(1)), Refusal::Frozen(by("c", Covers::Name, 200, false)), "the one that lasts longest");
    let waiting = bench.queued(set(2).wait_ms(LONG_MS));
    assert_eq!(granted(&bench.pass_ms(101).tick()), []);
    assert_eq!(granted(&bench.pass_ms(100).tick()), [(waiting, false)]);
    assert!(["a", "b", "c"].into_iter().all(|lock| bench.is_held_by(lock, &[2])));
}

#[test]
fn break_ends_holds_by_force_and_tells_the_history_why() {
    let mut bench = bench();
    bench.acquired(ask("x/a", 1).terms(|terms| terms.lock_delay_ms = 500));
    bench.acquired(ask("x/b", 2).names(&[("x/b", 1), ("y", 1)]).lease_ms(LONG_MS));
    bench.acquired(ask("z", 3));
    let waiting = [bench.queued(wait("y", 4)), bench.queued(wait("x/a", 5))];
    let (_, events) = bench.run(ending_holds(order("x/", Covers::Prefix, 100)));
    let mut why: Vec<EndReason> = ended(&events).into_iter().map(|(_, why)| why).collect();
    why.dedup();
    assert_eq!((ended(&events).len(), why), (3, vec![EndReason::Forced]), "a set ends under all its names");
    assert_eq!(granted(&events), [(waiting[0], false)], "only what is not frozen");
    assert!(bench.is_held_by("z", &[3]) && bench.is_held_by("y", &[4]));
    let lock = name("x/a");
    let past =
        bench.table.history(&lock).next().and_then(|past| past.rare.as_ref()).and_then(|rare| rare.force.clone());
    assert_eq!(past, Some(Force { by: "ops".into(), reason: "release 7".into() }));
    assert_eq!(granted(&bench.pass_ms(101).tick()), [(waiting[1], false)], "there is no lock delay: the end was clean");
}

/// Draining first, then breaking, then draining again: each takes the place of the one before.
#[test]
fn freeze_of_the_same_target_is_replaced() {
    let mut bench = bench();
    bench.acquired(ask("a", 1));
    bench.acquired(ask("ab", 2));
    frozen(&mut bench, freeze_prefix("a", 100));
    bench.outcome(ending_holds(order("a", Covers::Name, 200)));
    assert_eq!((bench.holders("a"), bench.holders("ab")), (vec![], keys(&[2])));
    bench.outcome(release("ab", 2));
    bench.acquired(ask("ab", 3));
    assert_eq!(bench.table.counts().freezes, 1);
    bench.outcome(freeze_prefix("a", 300));
    let waiting = bench.queued(wait("ab", 4));
    bench.outcome(release("ab", 3));
    let (_, events) = bench.run(freeze_name("a", 300));
    assert_eq!(granted(&events), [(waiting, false)], "the prefix is not frozen any more");
}

#[test]
fn order_beyond_a_limit_or_without_end_or_reason_is_refused() {
    let mut bench = bench();
    let limit = |field, limit| Refusal::LimitExceeded { field, limit };
    assert_eq!(bench.refused(freeze_name("a", MAX_MS + 1)), limit(Field::FreezeTime, MAX_MS));
    assert_eq!(bench.refused(freeze_name(&"x".repeat(513), 1)), limit(Field::Name, 512));
    let long = "x".repeat(Force::TEXT_BYTES_MAX + 1);
    let bad = [
        order("a", Covers::Name, 0),
        FreezeOrder { reason: "".into(), ..order("a", Covers::Name, 1) },
        FreezeOrder { reason: long.as_str().into(), ..order("a", Covers::Name, 1) },
        FreezeOrder { by: long.as_str().into(), ..order("a", Covers::Name, 1) },
    ];
    for bad in bad {
        assert!(matches!(bench.refused(freeze(bad)), Refusal::Broken(_)));
    }
    for target in ["a", "b", "c", "a"] {
        frozen(&mut bench, freeze_name(target, 9));
    }
    assert_eq!(bench.refused(freeze_name("d", 9)), Refusal::FreezesFull { limit: 3 });
    let preflight = bench.table.preflight(&freeze_name("d", 9), bench.table.now());
    assert_eq!(preflight, Some(Refusal::FreezesFull { limit: 3 }));
    bench.pass_ms(10).tick();
    frozen(&mut bench, freeze_name("d", 9));
    assert_eq!(bench.table.preflight(&acquire(ask("d", 1)), bench.table.now()), Some(bench.refused(ask("d", 1))));
}

#[test]
fn freezes_need_their_level() {
    let older = Feature::Freezes as u32 - 1;
    let mut bench = Bench::started(LeaderStart { level: older, ..start(RUN) });
    let lacking = NodeId(1);
    for command in [freeze_name("a", 1), thaw("a")] {
        let not_yet = Refusal::NotYet { level: Feature::Freezes as u32, node: Some(lacking) };
        assert_eq!(bench.table.preflight(&command, Timestamp(0)), Some(not_yet.clone()));
        assert_eq!(bench.refused(command), not_yet);
    }
    let mut limits = limits();
    with_freezes(&mut limits);
    let mut raised = Bench::started(LeaderStart { level: older, limits, ..start(RUN) });
    assert_eq!(raised.table.limits().freezes_max, 0, "the table has no such limit yet");
    raised.lead(LeaderStart { limits, ..start(Incarnation(5)) });
    raised.from(Incarnation(5));
    raised.outcome(Command::RaiseLevel { level: FEATURE_LEVEL, limits: Some(Box::new(limits)), quotas: None });
    frozen(&mut raised, freeze_name("a", 1));
}

/// More locks than one entry looks at, and more to end and to grant than one entry may.
#[test]
fn big_prefix_is_broken_and_thawed_in_bounded_entries_and_nobody_is_forgotten() {
    const LOCKS: u64 = 20_000;
    let mut bench = bench();
    let lock = |number: u64| format!("{}{number}", if number.is_multiple_of(5) { "x/" } else { "y/" });
    let all = |bench: &mut Bench, ask: &dyn Fn(&str, u64) -> Command| {
        let commands = (0..LOCKS).filter(|number| number.is_multiple_of(5)).map(|number| ask(&lock(number), number));
        bench.batch(commands.collect())
    };
    bench.pass_ms(1).batch((0..LOCKS).map(|number| acquire(ask(&lock(number), number))).collect());
    let first = bench.run(ending_holds(order("x/", Covers::Prefix, MAX_MS))).1;
    assert!((1..=1_024).contains(&ended(&first).len()), "{}", ended(&first).len());
    assert_eq!(bench.table.next_deadline(), Some(Timestamp(0)), "it goes on at once");
    assert!(bench.table.freezes().is_sweeping(), "holds are left");
    // Meanwhile the table is as another one that is restored from its snapshot.
    let restored = bench.restored();
    assert_eq!(restored.freezes().get(&name("x/"), Timestamp(0)), bench.table.freezes().get(&name("x/"), Timestamp(0)));
    let rest = bench.expire_all();
    assert_eq!((ended(&first).len() + ended(&rest).len()) as u64, LOCKS / 5);
    assert_eq!((bench.table.counts().holds, bench.table.freezes().is_sweeping()), (LOCKS - LOCKS / 5, false));
    all(&mut bench, &|lock, number| acquire(ask(lock, number).lease_ms(LONG_MS).wait_ms(LONG_MS)));
    all(&mut bench, &|lock, number| acquire(ask(lock, LOCKS + number).lease_ms(LONG_MS).wait_ms(LONG_MS)));
    let first = bench.run(thaw("x/")).1;
    assert!((1..=1_024).contains(&granted(&first).len()), "{}", granted(&first).len());
    // Another freeze and its end while the sweep is under way: it begins again, and ends.
    let meanwhile = bench.run(freeze_prefix("x/", 1)).1;
    let rest = bench.pass_ms(2).expire_all();
    let all: usize = [first, meanwhile, rest].iter().map(|events| granted(events).len()).sum();
    assert_eq!(all as u64, LOCKS / 5);
    assert!((0..LOCKS).step_by(5).all(|number| bench.holders(&lock(number)) == [key(number)]), "in order of arrival");
    assert_eq!(bench.table.counts().freezes, 0);
}

/// A node that is restored from a snapshot in the middle of a sweep goes on exactly as the others.
#[test]
fn restored_table_goes_on_with_the_sweep_as_the_others() {
    let mut bench = bench();
    bench.batch((0..9_000).map(|number| acquire(ask(&format!("x{number}"), number))).collect());
    bench.outcome(ending_holds(order("x", Covers::Prefix, MAX_MS)));
    let mut restored = bench.restored();
    let tick = |table: &mut Table| -> Applied {
        let body = latchd::domain::Body::Batch { touches: vec![], more_touches: false, commands: vec![] };
        table.apply(latchd::domain::Entry { at: Timestamp(1), epoch: table.epoch(), body }).expect("its own epoch")
    };
    for _ in 0..20 {
        let events = [tick(&mut bench.table).events, tick(&mut restored).events];
        assert_eq!(events[0], events[1]);
        assert_eq!(snapshot(&bench.table), snapshot(&restored));
    }
    assert_eq!((bench.table.counts().holds, bench.table.next_deadline()), (0, Some(Timestamp(MAX_MS))));
}

#[test]
fn ten_thousand_freezes_are_refused_beyond_their_limit_and_leave_the_others_alone() {
    const COUNT: usize = 10_000;
    let mut bench = Bench::with_limits(|limits| (limits.freeze_ms_max, limits.freezes_max) = (MAX_MS, COUNT as u64));
    let all: Vec<Command> = (0..COUNT / 2)
        .flat_map(|at| [freeze_name(&format!("name-{at:04}"), 500), freeze_prefix(&format!("prefix-{at:04}/"), 400)])
        .collect();
    let mut frozen_now = 0;
    for part in all.chunks(1_000) {
        let outcomes = bench.batch(part.to_vec()).outcomes;
        frozen_now += outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Frozen(_))).count();
    }
    assert_eq!((frozen_now, bench.table.counts().freezes), (COUNT, COUNT as u64));
    let full = Refusal::FreezesFull { limit: COUNT as u64 };
    assert_eq!(bench.refused(freeze_name("one more", 500)), full);
    frozen(&mut bench, freeze_prefix("prefix-0077/", 450));

    assert_eq!(bench.refused(ask("name-4999", 1)), Refusal::Frozen(by("name-4999", Covers::Name, 500, false)));
    let under = Refusal::Frozen(by("prefix-0077/", Covers::Prefix, 450, false));
    assert_eq!(bench.refused(ask("prefix-0077/x", 2)), under);
    for (at, beside) in ["name-49990", "name-499", "prefix-0077", "prefix-5000/x", "elsewhere"].iter().enumerate() {
        bench.acquired(ask(beside, 10 + at as u64));
    }
    let waiting = bench.queued(wait("prefix-0078/x", 3));

    let view = bench.table.freezes();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page: Vec<_> =
            view.after(after.as_ref(), Timestamp(0)).take(999).map(|(target, _)| target.clone()).collect();
        after = page.last().cloned();
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert!(listed.len() == COUNT && listed.is_sorted(), "each once, in their order");

    let restored = bench.restored();
    assert_eq!((restored.counts().freezes, restored.bytes()), (COUNT as u64, bench.table.bytes()));
    assert!(restored.freeze_of(&name("prefix-0077/x"), Timestamp(0)).is_some());
    assert_eq!(granted(&bench.run(thaw("prefix-0078/")).1), [(waiting, false)]);
    frozen(&mut bench, freeze_name("one more", 500));
    bench.pass_ms(501).expire_all();
    assert_eq!((bench.table.counts().freezes, bench.table.freeze_of(&name("name-0001"), Timestamp(0))), (0, None));
}

#[test]
fn freezes_survive_a_snapshot_and_a_backup() {
    let mut bench = bench();
    bench.outcome(open(1, LONG_MS));
    frozen(&mut bench, freeze_prefix("a/", 500));
    bench.outcome(ending_holds(order("b", Covers::Name, 600)));
    bench.queued(wait("a/1", 1));
    let mut restored = bench.restored();
    assert_eq!(restored.freezes().after(None, Timestamp(0)).count(), 2);
    assert!(restored.bytes() == bench.table.bytes() && restored.bytes() > 0);
    restored.begin_from_backup(1, 7, false, false);
    assert_eq!(restored.counts().waiters, 0);
    let lasting: Vec<_> =
        restored.freezes().after(None, Timestamp(550)).map(|(target, _)| target.to_string()).collect();
    assert_eq!(lasting, ["b"]);
    assert_eq!(restored.freeze_of(&name("a/2"), Timestamp(100)), Some(by("a/", Covers::Prefix, 400, false)));
}

#[test]
fn waits_that_end_otherwise_do_not_speak_of_freezes() {
    let mut bench = bench();
    frozen(&mut bench, freeze_name("a", 100));
    let waiting = bench.queued(wait("a", 1).label("x"));
    let (_, events) = bench.run(super::kit::cancel_wait("a", "x"));
    assert_eq!(wait_ends(&events), [(waiting, WaitEnd::Cancelled)]);
    assert!(events.contains(&Event::WaiterEnded { command: waiting, why: WaitEnd::Cancelled, frozen: None }));
    let (_, events) = bench.run(thaw("a"));
    assert!(matches!(&events[..], [Event::Thawed { why: ThawReason::Thawed, .. }]), "nobody is left: {events:?}");
}
