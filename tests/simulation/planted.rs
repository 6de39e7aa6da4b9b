//! A few seeds with the fault that a planted bug does not survive: see `tests/mutants`.

use super::faults::Fault;
use super::run::{Shape, run};
use super::seeds::{failure, shape, shape_alone};

/// Runs seeds until the first complaint.
fn survives(fault: Fault, seeds: std::ops::Range<u64>) {
    survive(seeds, |seed| Shape { only: Some(fault), ..shape(seed) });
}

fn survive(seeds: std::ops::Range<u64>, shape: impl Fn(u64) -> Shape) {
    for shape in seeds.map(shape) {
        let report = run(shape);
        if let Some(failure) = failure(shape, &report) {
            panic!("{:?}: {failure}", shape.only);
        }
    }
}

#[test]
fn isolated_leader_grants_nothing() {
    survives(Fault::Isolate, 1..3);
}

#[test]
fn power_loss_of_a_node_alone_takes_back_no_answer() {
    survive(1..25, |seed| Shape { only: Some(Fault::Crash { power: true }), ..shape_alone(seed) });
}

#[test]
fn forwarded_command_is_applied_once() {
    survives(Fault::Pause, 1..3);
}

#[test]
fn nodes_restarted_together_serve_again() {
    survives(Fault::CrashAll { power: true }, 1..3);
}

#[test]
fn entries_lost_by_lying_disk_are_sent_again() {
    survives(Fault::LoseEnd { entries: 30 }, 1..4);
}

#[test]
fn forged_votes_change_nothing() {
    survives(Fault::Forge { as_member: true }, 1..2);
    survives(Fault::Forge { as_member: false }, 2..3);
}
