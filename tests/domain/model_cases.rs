//! Faults that the model found, each as its smallest case.

use super::kit::{Asking, Bench, RUN, acquire, ask, cancel, close, granted, key, name, node_up, session, start};
use latchd::domain::{Command, LeaderStart, Outcome, Party, Refusal, Table};

fn transfer(lock: &str, key_number: u64, to: u8, new_key: u64) -> Command {
    let (name, key, to, new_key) = (name(lock), key(key_number), session(to), key(new_key));
    Command::Transfer { name, session: None, key, to, new_key }
}

#[test]
fn wait_for_several_names_that_times_out_as_they_become_free_is_granted() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).lease_ms(10));
    bench.acquired(ask("b", 2).lease_ms(10));
    let set = bench.queued(ask("a", 3).names(&[("a", 1), ("b", 1)]).lease_ms(100).wait_ms(20));
    let plain = bench.queued(ask("c", 4).lease_ms(100).names(&[("c", 1), ("b", 1)]).wait_ms(25));
    assert_eq!(granted(&bench.pass_ms(30).tick()), [(set, false)], "as a wait for one of them would be, not {plain:?}");
}

#[test]
fn reader_that_reenters_as_writer_is_refused() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1).shared().reentrant("x").lease_ms(100));
    bench.acquired(ask("a", 2).shared().reentrant("y").lease_ms(100));
    assert!(matches!(bench.refused(ask("a", 3).reentrant("x").lease_ms(100)), Refusal::SizeMismatch { .. }));
    bench.acquired(ask("a", 4).shared().reentrant("x").lease_ms(100));
}

#[test]
fn hold_is_not_reentered_with_more_weight_or_as_leader() {
    let mut bench = Bench::new();
    let asked = |key| ask("a", key).size(3).reentrant("x").lease_ms(100);
    bench.acquired(asked(1).terms(|terms| terms.weight = 2));
    assert_eq!(bench.refused(asked(2).terms(|terms| terms.weight = 3)), Refusal::NotConvertible);
    assert_eq!(bench.refused(asked(3).terms(|terms| terms.value = Some("v".into()))), Refusal::NotConvertible);
    bench.acquired(asked(4));
}

#[test]
fn answer_of_a_transfer_that_is_lost_ends_the_hold_with_and_without_terms() {
    for lock_delay_ms in [0, 5] {
        let mut bench = Bench::new();
        bench.open(1, 1_000);
        let asked = ask("a", 1).lease_ms(100);
        bench.acquired(if lock_delay_ms > 0 { asked.terms(|terms| terms.lock_delay_ms = 5) } else { asked });
        assert!(matches!(bench.outcome(transfer("a", 1, 1, 2)), Outcome::Changed(_)));
        bench.outcome(cancel("a", 1));
        assert_eq!(bench.seen("a"), (1, 0));
        bench.outcome(cancel("a", 2));
        assert_eq!(bench.seen("a"), (0, 0));
    }
}

#[test]
fn changed_value_is_counted_under_each_name() {
    let mut bench = Bench::new();
    let names = [("a", 1), ("b", 1)];
    bench.acquired(ask("a", 1).names(&names).terms(|terms| terms.value = Some("v".into())).lease_ms(100));
    let value = "longer".into();
    bench.outcome(Command::SetValue { name: name("a"), session: None, key: key(1), value });
    let restored = Table::restore(&mut bench.snapshot().as_slice()).expect("it can be read");
    assert_eq!(restored.usages(), bench.table.usages());
}

#[test]
fn wait_behind_an_ended_session_is_no_deadlock() {
    let mut bench = Bench::new();
    [1, 2, 3].into_iter().for_each(|number| bench.open(number, 1_000_000));
    bench.acquired(ask("a", 1).session(1));
    bench.acquired(ask("b", 2).session(2));
    bench.acquired(ask("c", 3).session(3));
    bench.queued(ask("c", 4).session(2).guarded_ms(1_000));
    bench.queued(ask("a", 5).session(3).guarded_ms(1_000));
    let asks = acquire(ask("b", 6).session(1).guarded_ms(1_000));
    let outcomes = bench.batch(vec![close(3), asks]).outcomes;
    assert_eq!(outcomes[1].1, Outcome::Waiting { position: 0 }, "the session between the two has ended");
}

#[test]
fn newcomer_without_holds_that_overtakes_finds_the_deadlock() {
    let mut bench = Bench::new();
    [1, 2, 3].into_iter().for_each(|number| bench.open(number, 1_000_000));
    let counted = |key, number| ask("a", key).size(3).session(number);
    bench.acquired(counted(1, 2));
    bench.acquired(counted(2, 1).session(3).terms(|terms| terms.weight = 2));
    bench.open(4, 1_000_000);
    bench.acquired(ask("b", 3).session(4));
    bench.queued(counted(4, 4).guarded_ms(1_000));
    bench.queued(ask("b", 5).session(2).guarded_ms(1_000));
    let heavy = counted(6, 1).priority(1).terms(|terms| terms.weight = 3).guarded_ms(1_000);
    let Refusal::WouldDeadlock { cycle } = bench.refused(heavy) else { panic!("no deadlock is found") };
    assert_eq!(cycle.last().map(|last| &last.by), Some(&Party::Session(session(1))));
}

#[test]
fn terms_are_checked_in_a_table_that_was_raised_without_limits() {
    let mut bench = Bench::started(LeaderStart { level: 6, ..start(RUN) });
    bench.outcome(node_up(1, RUN));
    bench.outcome(Command::RaiseLevel { level: 7, limits: None, quotas: None });
    let heavy = ask("a", 1).terms(|terms| terms.weight = 2);
    assert_eq!(bench.refused(heavy), Refusal::WeightAboveSize { size: 1 });
}
