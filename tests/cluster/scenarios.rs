//! The runs of CI: each a list of faults against one cluster.

use std::sync::{Mutex, MutexGuard};

use super::faults::{Fault, Whom};
use super::fleet::Fleet;
use super::run::run;
use crate::proof::random::Random;

/// One cluster at a time: each has the machine for itself, as far as it is in our hands.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn clean(scenario: &str, size: u64, faults: &[Fault]) {
    let _turn = turn();
    let mut random = Random::seeded(scenario);
    let mut fleet = Fleet::start(size);
    for fault in faults {
        assert!(fault.fits(&fleet), "{fault:?} does not fit this cluster and network: run the tests as root");
    }
    run(scenario, &mut fleet, faults, &mut random).expect_clean(&fleet);
}

#[test]
fn one_node_through_kills_pauses_and_a_slow_disk() {
    let faults = [
        Fault::Kill(Whom::Leader),
        Fault::Pause(Whom::Leader, 2),
        Fault::SlowDisk(Whom::Leader, 100),
        Fault::Restart(Whom::Leader),
        Fault::KillAll,
    ];
    clean("one node", 1, &faults);
}

#[test]
fn one_node_through_a_full_disk() {
    let _turn = turn();
    let mut random = Random::seeded("full disk");
    let mut fleet = Fleet::prepare(1, SMALL_LOG);
    fleet.use_small_disks();
    fleet.launch();
    run("full disk", &mut fleet, &[Fault::FullDisk(Whom::Leader)], &mut random).expect_clean(&fleet);
}

/// A log that leaves room on a small disk, and no warning before it is full.
const SMALL_LOG: &str = "[storage]\nmin_free_bytes = \"4KiB\"\nsnapshot_log_bytes = \"1MiB\"\n";

/// Of a cluster that tolerates the loss of a node.
pub const SIZE: u64 = 1;
