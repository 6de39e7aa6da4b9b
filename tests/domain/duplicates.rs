//! Commands are applied once, and only from those who may send them.

use super::kit::{Asking, Bench, RUN, acquire, ask, close, node_up, release, session};
use latchd::domain::{
    Body, Command, CommandId, Entry, Incarnation, Outcome, Refusal, StaleEpoch, Submitted, Timestamp,
};

fn outcome(bench: &mut Bench, incarnation: Incarnation, sequence: u64, command: Command) -> Outcome {
    let id = CommandId { incarnation, sequence };
    bench.submit(Vec::new(), false, vec![Submitted { id, command }]).outcomes.remove(0).1
}

#[test]
fn the_same_id_is_applied_once() {
    let mut bench = Bench::new();
    assert!(matches!(outcome(&mut bench, RUN, 1, acquire(ask("a", 1).size(2))), Outcome::Acquired(_)));
    assert_eq!(outcome(&mut bench, RUN, 1, acquire(ask("a", 1).size(2))), Outcome::Duplicate);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn an_id_below_the_last_is_a_duplicate_and_gaps_are_fine() {
    let mut bench = Bench::new();
    outcome(&mut bench, RUN, 9, acquire(ask("a", 1)));
    assert_eq!(outcome(&mut bench, RUN, 8, release("a", 1)), Outcome::Duplicate);
    assert_eq!(outcome(&mut bench, RUN, 0, release("a", 1)), Outcome::Duplicate);
    assert!(matches!(outcome(&mut bench, RUN, 20, release("a", 1)), Outcome::Released { .. }));
}

#[test]
fn duplicates_in_one_entry_count_too() {
    let mut bench = Bench::new();
    let first = bench.submitted(acquire(ask("a", 1).size(2)));
    let applied = bench.submit(Vec::new(), false, vec![first.clone(), first]);
    assert!(matches!(applied.outcomes[0].1, Outcome::Acquired(_)));
    assert_eq!(applied.outcomes[1].1, Outcome::Duplicate);
}

#[test]
fn a_refused_command_is_not_tried_again_under_its_id() {
    let mut bench = Bench::new();
    outcome(&mut bench, RUN, 1, acquire(ask("a", 1)));
    assert!(matches!(outcome(&mut bench, RUN, 2, acquire(ask("a", 2))), Outcome::Refused(_)));
    outcome(&mut bench, RUN, 3, release("a", 1));
    assert_eq!(outcome(&mut bench, RUN, 2, acquire(ask("a", 2))), Outcome::Duplicate);
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn a_process_that_the_leadership_does_not_know_is_refused() {
    let mut bench = Bench::new();
    let unknown = outcome(&mut bench, Incarnation(7), 1, acquire(ask("a", 1)));
    assert_eq!(unknown, Outcome::Refused(Refusal::UnknownIncarnation));
    assert_eq!(bench.seen("a"), (0, 0));
}

#[test]
fn each_process_counts_for_itself_and_goes_on_over_a_change_of_leader() {
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
fn an_entry_of_another_leadership_changes_nothing_at_all() {
    let mut bench = Bench::new();
    bench.open(1, 1_000);
    let (epoch, before) = (bench.table.epoch(), bench.snapshot());
    for found in [0, epoch - 1, epoch + 1, u64::MAX] {
        let commands = vec![bench.submitted(close(1))];
        let body = Body::Batch { touches: vec![session(1)], more_touches: false, commands };
        let refused = bench.table.apply(Entry { at: Timestamp(99_999), epoch: found, body });
        assert_eq!(refused.expect_err("it is not ours"), StaleEpoch { found, expected: epoch });
    }
    assert_eq!(bench.snapshot(), before);
}
