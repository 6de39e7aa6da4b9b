//! `make soak-cluster HOURS=8`: runs with faults chosen at random, for hours.
//!
//! Each run prints one line: its seed, its faults, what its clients did. A run with a violation prints all that was
//! found and leaves its history behind; the others remove theirs.

use std::time::{Duration, Instant};

use super::faults::{Fault, Whom};
use super::fleet::Fleet;
use super::network::Cut;
use super::run::run;
use super::scenarios::{SIZE, turn};
use crate::proof::random::Random;

const FAULTS_PER_RUN: usize = 6;
const HOUR: f64 = 3600.0;

pub const FAULTS: [Fault; 22] = [
    Fault::Kill(Whom::Leader),
    Fault::Kill(Whom::Anyone),
    Fault::Pause(Whom::Leader, 3),
    Fault::Pause(Whom::Anyone, 10),
    Fault::Restart(Whom::Leader),
    Fault::Restart(Whom::Follower),
    Fault::RestartTwo,
    Fault::RestartAll,
    Fault::KillTwo,
    Fault::KillAll,
    Fault::Cut(Whom::Leader, Cut::Both),
    Fault::Cut(Whom::Leader, Cut::Inbound),
    Fault::Cut(Whom::Leader, Cut::Outbound),
    Fault::Cut(Whom::Follower, Cut::Both),
    Fault::SlowDisk(Whom::Leader, 150),
    Fault::SlowDisk(Whom::Follower, 400),
    Fault::Wipe(Whom::Anyone),
    Fault::Replace(Whom::Anyone),
    Fault::CutLog(Whom::Leader),
    Fault::CutLog(Whom::Follower),
    Fault::Damage(Whom::Anyone),
    Fault::RemoveDirectory(Whom::Anyone),
];

#[test]
#[ignore = "runs for hours: make soak-cluster HOURS=8"]
fn soak() {
    let _turn = turn();
    let hours: f64 = std::env::var("HOURS").map_or(1.0, |text| text.parse().expect("HOURS is a number"));
    let (began, length) = (Instant::now(), Duration::from_secs_f64(hours * HOUR));
    // The first run has the seed that was given, and each prints its own.
    let mut next = Random::seeded("soak");
    let (mut runs, mut broken) = (0, 0);
    while began.elapsed() < length {
        runs += 1;
        let mut random = next.clone();
        next = next.fork();
        let seed = random.seed();
        let mut fleet = Fleet::start(SIZE);
        let possible: Vec<Fault> = FAULTS.into_iter().filter(|fault| fault.fits(&fleet)).collect();
        let faults: Vec<Fault> = (0..FAULTS_PER_RUN).map(|_| possible[random.below(possible.len())]).collect();
        let report = run("soak", &mut fleet, &faults, &mut random);
        println!(
            "{:>6} s, run {runs}, PROOF_SEED={seed}, {} operations, {} grants, {} unknown, {} violations: {faults:?}",
            began.elapsed().as_secs(),
            report.operations,
            report.grants,
            report.unknown,
            report.complaints.len()
        );
        if report.complaints.is_empty() {
            std::fs::remove_file(&report.history).expect("the history can be removed");
        } else {
            broken += 1;
            report.keep_output(&fleet);
            println!("VIOLATIONS, history {}:\n{}", report.history.display(), report.complaints.join("\n"));
        }
    }
    assert_eq!(broken, 0, "{broken} of {runs} runs had violations, printed above");
}
