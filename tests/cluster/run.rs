//! One run: a cluster under load, faults one after another, and a check of everything that the clients saw.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::checks;
use super::client::Client;
use super::faults::Fault;
use super::fleet::Fleet;
use super::history::{Answer, History, Recorder};
use super::states;
use super::tries::Wanted;
use super::workload::Workload;
use crate::proof::random::Random;
use crate::support::certificate::scratch_directory;

/// Load before each fault, so that it has something to hit.
const STEADY: Duration = Duration::from_millis(1500);
/// After a repair the next grant must not take longer.
const HEALED_WITHIN: Duration = Duration::from_secs(10);
/// A run with fewer grants proves nothing.
const GRANTS_PER_FAULT: usize = 20;

/// What a run came to.
pub struct Report {
    pub complaints: Vec<String>,
    pub history: PathBuf,
    pub operations: usize,
    pub grants: usize,
    pub unknown: usize,
}

/// Runs these faults, in this order, against a cluster that serves.
pub fn run(scenario: &str, fleet: &mut Fleet, faults: &[Fault], random: &mut Random) -> Report {
    let (mut prober, mut choices) = (random.fork(), random.fork());
    let mut report = judged(scenario, fleet, random, |fleet, recorder| {
        for &fault in faults {
            std::thread::sleep(STEADY);
            recorder.fault(format!("{fault:?}"));
            fault.strike(fleet, &mut choices);
            recorder.fault("repaired");
            serves_again(fleet, recorder, &mut prober, fault);
        }
        std::thread::sleep(STEADY);
    });
    report.complaints.extend(too_little(&report, faults.len()));
    report
}

/// Does this to a cluster under load, and judges what all clients saw.
pub fn judged(
    scenario: &str,
    fleet: &mut Fleet,
    random: &mut Random,
    meanwhile: impl FnOnce(&mut Fleet, &Recorder),
) -> Report {
    let folder = scratch_directory().join("histories");
    std::fs::create_dir_all(&folder).expect("a folder for histories can be made");
    let seed = random.seed();
    let path = folder.join(format!("{}-{seed:016x}.jsonl", scenario.replace(' ', "-")));
    let recorder = Recorder::new(&path);
    recorder.run(seed, fleet.nodes.len(), scenario);
    let workload = Workload::new(fleet.addresses.clone(), &recorder);
    workload.run(random, || meanwhile(fleet, &recorder));
    let (history, mut complaints) = recorder.finish();
    complaints.extend(states::diverged(fleet));
    complaints.extend(checks::all(&history));
    report(path, &history, complaints)
}

/// After a repair every node gives a new lock, each within the time that is promised for the first.
fn serves_again(fleet: &Fleet, recorder: &Recorder, random: &mut Random, fault: Fault) {
    let repaired = Instant::now();
    let wanted = Wanted { lease_ms: 500, wait_ms: None, keyed: false, patience: Duration::from_secs(2) };
    for (node, address) in fleet.addresses.all() {
        let mut client = Client::new(2000 + node, &fleet.addresses, recorder, random.fork());
        loop {
            client.move_to(node, address);
            let id = recorder.number();
            let granted = client.acquire(&format!("probe-{id}"), wanted, id).is_some();
            let took = repaired.elapsed();
            if granted && took <= HEALED_WITHIN {
                break;
            }
            if took > HEALED_WITHIN {
                recorder.complain(format!("{took:?} after {fault:?} was repaired, node {node} gives no lock"));
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        client.abandon();
    }
}

fn too_little(report: &Report, faults: usize) -> Option<String> {
    let (granted, needed) = (report.grants, (faults + 1) * GRANTS_PER_FAULT);
    (granted < needed).then(|| format!("only {granted} grants, {needed} are needed to prove anything"))
}

fn report(history: PathBuf, seen: &History, complaints: Vec<String>) -> Report {
    let unknown = seen.ops.iter().filter(|op| matches!(op.answer, Answer::Unknown(_))).count();
    let grants = seen.ops.iter().filter(|op| op.granted().is_some()).count();
    Report { complaints, history, operations: seen.ops.len(), grants, unknown }
}

impl Report {
    /// Panics with everything that was found, and where the history is.
    pub fn expect_clean(&self, fleet: &Fleet) {
        println!(
            "{} operations, {} grants, {} unknown: {}",
            self.operations,
            self.grants,
            self.unknown,
            self.history.display()
        );
        if self.complaints.is_empty() {
            return;
        }
        let told = self.keep_output(fleet);
        panic!(
            "{} complaints; the history is {}, what the nodes wrote {}:\n{}",
            self.complaints.len(),
            self.history.display(),
            told.display(),
            self.complaints.join("\n")
        );
    }

    /// Writes what the nodes wrote to a file beside the history.
    pub fn keep_output(&self, fleet: &Fleet) -> PathBuf {
        let told = self.history.with_extension("stderr");
        std::fs::write(&told, fleet.told()).expect("the nodes' output can be written");
        told
    }
}
