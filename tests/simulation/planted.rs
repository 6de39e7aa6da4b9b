//! A few seeds with the fault that a planted bug does not survive: see `tests/mutants`.

use super::faults::Fault;
use super::run::{Shape, run};
use super::seeds::{failure, shape};

/// Runs seeds until the first complaint.
fn survives(fault: Fault, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let report = run(Shape { only: Some(fault), faults_ms: 8_000, ..shape(seed) });
        if let Some(failure) = failure(seed, &report) {
            panic!("only {fault:?}: {failure}");
        }
    }
}

#[test]
fn isolated_leader_grants_nothing() {
    survives(Fault::Isolate, 1..3);
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
