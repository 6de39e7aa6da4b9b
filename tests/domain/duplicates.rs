//! Commands are applied once, and only those of recorded incarnations.

use super::kit::{Asking, Bench, RUN, acquire, ask, close, node_up, release, session};
use latchd::domain::{
    Body, Command, CommandId, Entry, Incarnation, Outcome, Refusal, StaleEpoch, Submitted, Timestamp,
};

fn outcome(bench: &mut Bench, incarnation: Incarnation, sequence: u64, command: Command) -> Outcome {
    let id = CommandId { incarnation, sequence };
    bench.submit(Vec::new(), false, vec![Submitted { id, command }]).outcomes.remove(0).1
}

#[test]
fn same_command_id_is_applied_once() {
    let mut bench = Bench::new();
    assert!(matches!(outcome(&mut bench, RUN, 1, acquire(ask("a", 1).size(2))), Outcome::Acquired(_)));
    assert_eq!(outcome(&mut bench, RUN, 1, acquire(ask("a", 1).size(2))), Outcome::Duplicate);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn lower_command_id_is_a_duplicate_and_gaps_are_allowed() {
    let mut bench = Bench::new();
    outcome(&mut bench, RUN, 9, acquire(ask("a", 1)));
    assert_eq!(outcome(&mut bench, RUN, 8, release("a", 1)), Outcome::Duplicate);
    assert_eq!(outcome(&mut bench, RUN, 0, release("a", 1)), Outcome::Duplicate);
    assert!(matches!(outcome(&mut bench, RUN, 20, release("a", 1)), Outcome::Released { .. }));
}

#[test]
fn duplicate_within_one_entry_is_not_applied() {
    let mut bench = Bench::new();
    let first = bench.submitted(acquire(ask("a", 1).size(2)));
    let applied = bench.submit(Vec::new(), false, vec![first.clone(), first]);
    assert!(matches!(applied.outcomes[0].1, Outcome::Acquired(_)));
    assert_eq!(applied.outcomes[1].1, Outcome::Duplicate);
}

#[test]
fn refused_command_is_not_applied_again() {
    let mut bench = Bench::new();
    outcome(&mut bench, RUN, 1, acquire(ask("a", 1)));
    assert!(matches!(outcome(&mut bench, RUN, 2, acquire(ask("a", 2))), Outcome::Refused(_)));
    outcome(&mut bench, RUN, 3, release("a", 1));
    assert_eq!(outcome(&mut bench, RUN, 2, acquire(ask("a", 2))), Outcome::Duplicate);
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn command_of_unknown_incarnation_is_refused() {
    let mut bench = Bench::new();
    let unknown = outcome(&mut bench, Incarnation(7), 1, acquire(ask("a", 1)));
    assert_eq!(unknown, Outcome::Refused(Refusal::UnknownIncarnation));
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn command_numbers_continue_over_a_leader_change() {
    let mut bench = Bench::new();
    bench.outcome(node_up(2, Incarnation(2)));
    bench.lead_with(RUN);
    assert!(matches!(outcome(&mut bench, RUN, 5, acquire(ask("a", 1))), Outcome::Acquired(_)));
    assert!(matches!(outcome(&mut bench, Incarnation(2), 1, acquire(ask("b", 1))), Outcome::Acquired(_)));
    bench.lead_with(RUN);
    assert_eq!(outcome(&mut bench, RUN, 5, release("a", 1)), Outcome::Duplicate);
    assert_eq!(outcome(&mut bench, Incarnation(2), 1, release("b", 1)), Outcome::Duplicate);
    assert!(matches!(outcome(&mut bench, Incarnation(2), 2, release("b", 1)), Outcome::Released { .. }));
}

#[test]
fn entry_of_another_epoch_changes_nothing() {
    let mut bench = Bench::new();
    bench.open(1, 1_000);
    let (epoch, before) = (bench.table.epoch(), bench.snapshot());
    for found in [0, epoch - 1, epoch + 1, u64::MAX] {
        let commands = vec![bench.submitted(close(1))];
        let body = Body::Batch { touches: vec![session(1)], more_touches: false, commands };
        let refused = bench.table.apply(Entry { at: Timestamp(99_999), epoch: found, body });
        assert_eq!(refused.expect_err("another epoch"), StaleEpoch { found, expected: epoch });
    }
    assert_eq!(bench.snapshot(), before);
}
