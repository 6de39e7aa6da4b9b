//! The runs of CI: each a list of faults against one cluster.

use std::sync::{Mutex, MutexGuard};

use super::faults::{Fault, Whom};
use super::fleet::Fleet;
use super::network::Cut;
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
fn one_node_survives_kills_pauses_and_slow_disk() {
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
fn three_nodes_survive_kills() {
    let faults = [Fault::Kill(Whom::Follower), Fault::Kill(Whom::Leader), Fault::KillTwo, Fault::KillAll];
    clean("kills", SIZE, &faults);
}

#[test]
fn three_nodes_survive_pauses() {
    let faults = [Fault::Pause(Whom::Leader, 3), Fault::Pause(Whom::Follower, 4), Fault::Pause(Whom::Leader, 10)];
    clean("pauses", SIZE, &faults);
}

#[test]
fn three_nodes_survive_restarts() {
    let faults = [Fault::Restart(Whom::Leader), Fault::Restart(Whom::Follower), Fault::RestartTwo, Fault::RestartAll];
    clean("restarts", SIZE, &faults);
}

#[test]
fn three_nodes_survive_partitions() {
    let faults = [
        Fault::Cut(Whom::Leader, Cut::Both),
        Fault::Cut(Whom::Leader, Cut::Inbound),
        Fault::Cut(Whom::Leader, Cut::Outbound),
        Fault::Cut(Whom::Follower, Cut::Both),
    ];
    clean("partitions", SIZE, &faults);
}

#[test]
fn three_nodes_survive_slow_disks() {
    clean("slow disks", SIZE, &[Fault::SlowDisk(Whom::Leader, 150), Fault::SlowDisk(Whom::Follower, 400)]);
}

#[test]
fn three_nodes_survive_wiped_and_replaced_node() {
    clean("lost disks", SIZE, &[Fault::Wipe(Whom::Follower), Fault::Replace(Whom::Leader)]);
}

#[test]
fn three_nodes_survive_lying_disks() {
    let faults = [
        Fault::CutLog(Whom::Leader),
        Fault::CutLog(Whom::Follower),
        Fault::Damage(Whom::Follower),
        Fault::RemoveDirectory(Whom::Leader),
    ];
    clean("lying disks", SIZE, &faults);
}

#[test]
fn three_nodes_survive_full_disks() {
    full_disks("full disks", SIZE, &[Fault::FullDisk(Whom::Leader), Fault::FullDisk(Whom::Follower)]);
}

#[test]
fn one_node_survives_full_disk() {
    full_disks("full disk", 1, &[Fault::FullDisk(Whom::Leader)]);
}

fn full_disks(scenario: &str, size: u64, faults: &[Fault]) {
    let _turn = turn();
    let mut random = Random::seeded(scenario);
    let mut fleet = Fleet::prepare(size, SMALL_LOG);
    fleet.use_small_disks();
    fleet.launch();
    run(scenario, &mut fleet, faults, &mut random).expect_clean(&fleet);
}

/// A log that leaves room on a small disk, and no warning before it is full.
const SMALL_LOG: &str = "[storage]\nmin_free_bytes = \"4KiB\"\nsnapshot_log_bytes = \"1MiB\"\n";

/// Of a cluster that tolerates the loss of a node.
pub const SIZE: u64 = 3;
