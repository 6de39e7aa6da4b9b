//! The feature level: apply does only what every node supports.

use super::kit::{
    Asking, Bench, FIRST_TOKEN, RUN, acquire, ask, caller, cancel, downgrade, granted, limits, node_up, open_as,
    release, release_names, session, snapshot, start, store, upgrade,
};
use super::kit_modes::{raise_mark, renew_names, resize, set_value, transfer};
use latchd::domain::{
    Caller, Command, Dialect, FEATURE_LEVEL, Incarnation, LeaderStart, Limits, NodeId, Outcome, Proof, Refusal, Table,
    Terms, Timestamp,
};

const RAISE: Command = Command::RaiseLevel { level: 2, limits: None, quotas: None };

/// A table that a leader of level 1 opened.
fn old() -> Bench {
    let mut bench = Bench::started(LeaderStart { level: 1, confirm: true, ..start(RUN) });
    bench.lead(LeaderStart { confirm: true, ..start(RUN) });
    bench
}

#[test]
fn new_table_takes_leaders_level_and_old_table_keeps_its_own() {
    assert_eq!(Bench::new().table.level(), FEATURE_LEVEL);
    assert_eq!(old().table.level(), 1);
}

#[test]
fn level_rises_when_every_node_supports_it() {
    let mut bench = old();
    let behind = Command::NodeUp { node: NodeId(2), incarnation: Incarnation(2), store: store(2), level: 1 };
    bench.outcome(behind);
    assert_eq!(bench.refused(RAISE), Refusal::LevelRefused { level: 1 });
    bench.outcome(node_up(2, Incarnation(2)));
    assert_eq!(bench.outcome(RAISE), Outcome::LevelRaised { level: 2 });
    assert_eq!(bench.refused(RAISE), Refusal::LevelRefused { level: 2 });
    assert_eq!(
        bench.refused(Command::RaiseLevel { level: FEATURE_LEVEL + 1, limits: None, quotas: None }),
        Refusal::LevelRefused { level: 2 }
    );
}

#[test]
fn node_that_is_down_holds_back_the_level_until_forgotten() {
    let mut bench = old();
    bench.outcome(Command::NodeUp { node: NodeId(2), incarnation: Incarnation(2), store: store(2), level: 1 });
    bench.outcome(Command::NodeDown { node: NodeId(2), incarnation: Incarnation(2) });
    assert_eq!(bench.refused(RAISE), Refusal::LevelRefused { level: 1 });
    bench.outcome(Command::ForgetNode { node: NodeId(2) });
    assert_eq!(bench.outcome(RAISE), Outcome::LevelRaised { level: 2 });
}

#[test]
fn table_has_event_origin_from_level_3_on() {
    let mut bench = Bench::new();
    let origin = bench.table.event_origin();
    assert_eq!(origin, FIRST_TOKEN);
    let mut older = Bench::started(LeaderStart { level: 4, ..start(RUN) });
    older.lead(LeaderStart { first_token: origin + 1, ..start(RUN) });
    assert_eq!(older.table.event_origin(), origin);
    bench.lead(LeaderStart { first_token: origin - 1, ..start(RUN) });
    assert_eq!(bench.table.event_origin(), origin);
    let mut old = old();
    assert_eq!(
        old.outcome(Command::RaiseLevel { level: FEATURE_LEVEL, limits: None, quotas: None }),
        Outcome::LevelRaised { level: FEATURE_LEVEL }
    );
    assert_eq!(old.table.event_origin(), 0, "its earlier event ids had none");
    let boundless = Bench::started(LeaderStart { first_token: u64::MAX, ..start(RUN) });
    assert!(Table::restore(&mut snapshot(&boundless.table).as_slice()).is_ok());
}

#[test]
fn table_has_table_id_from_level_4_on() {
    let run = |n| LeaderStart { incarnation: Incarnation(n), ..start(RUN) };
    let mut bench = Bench::started(run(0xabcd_0000_0000_0005));
    assert_eq!(bench.table.table_id(), 5, "48 bits of the incarnation that opened it");
    bench.lead(run(6));
    assert_eq!(bench.table.table_id(), 5);
    assert_eq!(Bench::started(run(0xabcd_0000_0000_0000)).table.table_id(), 1, "0 is that of older tables");
    let mut old = Bench::started(LeaderStart { level: 3, ..run(7) });
    old.outcome(Command::RaiseLevel { level: FEATURE_LEVEL, limits: None, quotas: None });
    assert_eq!(old.table.table_id(), 0, "its earlier event ids had none");
    assert_eq!(Table::restore(&mut snapshot(&old.table).as_slice()).expect("it can be read").table_id(), 0);
}

#[test]
fn every_leadership_raises_tokens_from_level_5_on() {
    let high = || LeaderStart { first_token: 1 << 40, ..start(RUN) };
    for level in 1..=FEATURE_LEVEL {
        let mut bench = Bench::started(LeaderStart { level, ..start(RUN) });
        assert_eq!(bench.acquired(ask("a", 1)).token.0, FIRST_TOKEN);
        bench.lead(high());
        let expected = if level >= 5 { 1 << 40 } else { FIRST_TOKEN + 1 };
        assert_eq!(bench.acquired(ask("b", 1)).token.0, expected, "level {level}");
        assert_eq!(bench.table.event_origin() == 1 << 40, level >= 5, "level {level}");
    }
    let mut raised = Bench::started(LeaderStart { level: 4, ..start(RUN) });
    raised.lead(start(RUN));
    raised.outcome(Command::RaiseLevel { level: 5, limits: None, quotas: None });
    raised.lead(high());
    assert_eq!(raised.acquired(ask("a", 1)).token.0, 1 << 40);
}

#[test]
fn session_belongs_to_its_credential_from_level_6_on() {
    let (ci, other) = (caller(1, 1), caller(2, 1));
    for level in [5, 6] {
        let mut bench = Bench::started(LeaderStart { level, ..start(RUN) });
        bench.outcome(open_as(1, ci));
        bench.outcome(open_as(2, Caller::NOBODY));
        let anybodys = if level < 6 { Ok(()) } else { Err(Refusal::SessionOfAnother) };
        let restored = Table::restore(&mut snapshot(&bench.table).as_slice()).expect("it can be read");
        for table in [&bench.table, &restored] {
            let of_1 = [ci, caller(1, 9), other, Caller::NOBODY].map(|by| table.check_session_of(session(1), by));
            assert_eq!(of_1, [Ok(()), Ok(()), anybodys.clone(), anybodys.clone()], "level {level}");
            assert_eq!(table.check_session_of(session(2), other), Ok(()));
            assert_eq!(table.check_session_of(session(3), ci), Err(Refusal::SessionUnknown));
        }
    }
    let mut raised = Bench::started(LeaderStart { level: 5, ..start(RUN) });
    raised.outcome(open_as(1, ci));
    raised.lead(start(RUN));
    raised.outcome(Command::RaiseLevel { level: 6, limits: None, quotas: None });
    raised.outcome(open_as(2, ci));
    assert_eq!(
        raised.table.check_session_of(session(1), other),
        Ok(()),
        "it was opened before level 6, so the id is enough"
    );
    assert_eq!(raised.table.check_session_of(session(2), other), Err(Refusal::SessionOfAnother));
}

#[test]
fn quotas_apply_from_level_6_on() {
    let limits = || latchd::domain::Limits { table_bytes_max: 7, address_share: 8, ..Default::default() };
    for level in [5, 6] {
        let bench = Bench::started(LeaderStart { level, limits: limits(), ..start(RUN) });
        assert_eq!(*bench.table.limits() == limits(), level == 6);
        let restored = Table::restore(&mut snapshot(&bench.table).as_slice()).expect("it can be read");
        assert_eq!(restored.limits(), bench.table.limits());
    }
}

#[test]
fn idempotency_keys_are_remembered_from_level_2_on() {
    let mut bench = old();
    bench.acquired(ask("a", 1).request(1));
    assert!(matches!(bench.refused(ask("a", 2).request(1)), Refusal::Held(_)));
    bench.outcome(cancel("a", 1));
    assert_eq!((bench.seen("a"), bench.table.counts().idempotency_keys), ((0, 0), 0));
    bench.outcome(RAISE);
    let grant = bench.acquired(ask("a", 3).request(1));
    assert_eq!(bench.acquired(ask("a", 4).request(1)), grant);
}

#[test]
fn grants_are_confirmed_from_level_2_on() {
    let mut bench = old();
    for (raised, lock) in [(false, "a"), (true, "b")] {
        bench.acquired(ask(lock, 1));
        let waiting = bench.queued(ask(lock, 2).lease_ms(9).wait_ms(9));
        assert_eq!(granted(&bench.run(release(lock, 1)).1), [(waiting, raised)]);
        bench.outcome(RAISE);
    }
}

#[test]
fn cancel_ends_a_reentered_hold_only_below_level_2() {
    let mut bench = old();
    for (raised, lock) in [(false, "a"), (true, "b")] {
        bench.acquired(ask(lock, 1).reentrant("x").lease_ms(100));
        bench.acquired(ask(lock, 2).reentrant("x").lease_ms(100));
        bench.outcome(cancel(lock, 1));
        assert_eq!(bench.seen(lock), (usize::from(raised), 0));
        bench.outcome(RAISE);
    }
}

/// Every command that only tables at level 7 can carry out.
fn commands_of_modes() -> Vec<Command> {
    let with_terms = |change: fn(&mut Terms)| acquire(ask("free", 9).lease_ms(9).terms(change));
    vec![
        acquire(ask("free", 9).shared()),
        acquire(ask("a", 9).shared().lease_ms(9).wait_ms(9)),
        with_terms(|_| {}),
        with_terms(|terms| terms.lock_delay_ms = 1),
        with_terms(|terms| terms.value = Some("x".into())),
        acquire(ask("free", 9).names(&[("free", 1), ("other", 1)])),
        release_names(&["a"], 1),
        renew_names(&["a"], 1, 9),
        downgrade("a", 1),
        upgrade("a", 1, 9, Some(9)),
        transfer("a", 1, 1, 9),
        resize("counted", 3),
        set_value("a", 1, "x"),
        raise_mark("r", FIRST_TOKEN),
    ]
}

/// A table that was opened at this level, with an exclusive lock, a counted one and a session. Node 2 lacks level 7.
fn before_modes(level: u32) -> Bench {
    let mut bench = Bench::started(LeaderStart { level, ..start(RUN) });
    bench.lead(start(RUN));
    bench.outcome(Command::NodeUp { node: NodeId(2), incarnation: Incarnation(2), store: store(2), level: 6 });
    bench.open(1, 1_000);
    bench.acquired(ask("a", 1).lease_ms(100));
    bench.acquired(ask("counted", 2).size(2).lease_ms(100));
    bench
}

#[test]
fn modes_are_refused_below_level_7_and_change_nothing() {
    for (level, node) in (1..=6).flat_map(|level| [(level, Some(NodeId(2))), (level, None)]) {
        let (mut bench, mut other) = (before_modes(level), before_modes(level));
        if node.is_none() {
            [&mut bench, &mut other].into_iter().for_each(|bench| _ = bench.outcome(node_up(2, Incarnation(2))));
        }
        for command in commands_of_modes() {
            let what = format!("level {level}: {command:?}");
            let not_yet = Refusal::NotYet { level: 7, node };
            assert_eq!(bench.table.preflight(&command, bench.table.now()).as_ref(), Some(&not_yet), "{what}");
            assert_eq!(bench.run(command), (Outcome::Refused(not_yet), Vec::new()), "{what}");
            other.refused(release("nothing", 1));
            assert_eq!(bench.snapshot(), other.snapshot(), "{what}");
        }
    }
}

#[test]
fn later_dialects_are_refused_below_level_8_and_change_nothing() {
    for dialect in [Dialect::Terraform, Dialect::Redis] {
        let by_dialect = Command::Release { name: "a".into(), session: None, proof: Proof::TakenBy(dialect) };
        for command in [acquire(ask("free", 9).dialect(dialect).lease_ms(9)), by_dialect] {
            for level in 1..=7 {
                let (mut bench, mut other) = (before_modes(level), before_modes(level));
                let not_yet = Refusal::NotYet { level: 8, node: Some(NodeId(2)) };
                // Also while something is due, because an older leader could not read the command.
                for now in [bench.table.now(), Timestamp(u64::MAX)] {
                    assert_eq!(bench.table.preflight(&command, now).as_ref(), Some(&not_yet), "level {level}");
                }
                assert_eq!(bench.run(command.clone()), (Outcome::Refused(not_yet), Vec::new()), "level {level}");
                other.refused(release("nothing", 1));
                assert_eq!(bench.snapshot(), other.snapshot(), "level {level}: {command:?}");
            }
            let mut bench = Bench::new();
            assert!(!matches!(bench.outcome(command), Outcome::Refused(Refusal::NotYet { .. })));
        }
    }
}

#[test]
fn raised_level_sets_its_limits() {
    let new = Limits { names_max: 3, lock_delay_ms_max: 9, name_bytes_max: 5, table_bytes_max: 1 << 40, ..limits() };
    let mut bench = before_modes(5);
    let before = *bench.table.limits();
    assert_eq!((before.names_max, before.lock_delay_ms_max, before.marks_max), (0, 0, 0));
    let raise = |level| Command::RaiseLevel { level, limits: Some(Box::new(new)), quotas: None };
    assert_eq!(bench.refused(raise(7)), Refusal::LevelRefused { level: 5 }, "node 2 is older");
    assert_eq!(*bench.table.limits(), before);
    assert_eq!(bench.outcome(raise(6)), Outcome::LevelRaised { level: 6 });
    let at_6 = Limits { name_bytes_max: 5, table_bytes_max: 1 << 40, ..before };
    assert_eq!(*bench.table.limits(), at_6, "without those of level 7");
    bench.outcome(node_up(2, Incarnation(2)));
    assert_eq!(bench.outcome(raise(7)), Outcome::LevelRaised { level: 7 });
    let at_7 = Limits { history_per_lock: 0, history_bytes_max: 0, ..new };
    assert_eq!(*bench.table.limits(), at_7, "without those of level 10");
    bench.restored();
    assert_eq!(bench.outcome(raise(10)), Outcome::LevelRaised { level: 10 });
    assert_eq!(*bench.table.limits(), new);
    bench.restored();
    bench.outcome(release("a", 1));
    for command in commands_of_modes() {
        assert!(!matches!(bench.outcome(command.clone()), Outcome::Refused(Refusal::NotYet { .. })), "{command:?}");
    }
    let mut without = before_modes(6);
    without.outcome(node_up(2, Incarnation(2)));
    without.outcome(Command::RaiseLevel { level: 7, limits: None, quotas: None });
    assert_eq!(without.table.limits().names_max, 0, "until the next leader sets them");
}
