//! The seeds that are run: hundreds in CI, more when asked for, one again to find out what went wrong.

use std::time::Instant;

use super::run::{Report, Shape, run};

/// How long faults go on, in simulated time.
const FAULTS_MS: u64 = 8_000;
/// What CI runs, in two halves, for two cores.
const SEEDS: u64 = 200;

pub fn shape(seed: u64) -> Shape {
    Shape { seed, faults_ms: FAULTS_MS, in_words: false, only: None }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The complaints about a run, and how to replay it.
pub fn failure(seed: u64, report: &Report) -> Option<String> {
    (!report.complaints.is_empty()).then(|| {
        format!(
            "seed {seed} has {} complaints; to see it again:\n  SIM_SEED={seed} cargo test --features mutants --test all \
             simulation::seeds::replay -- --nocapture\n{}",
            report.complaints.len(),
            report.complaints.join("\n")
        )
    })
}

/// Every second seed from the first on: `SIM_FROM` moves where they begin, `SIM_SEEDS` says how many both halves run.
fn every_second(first: u64) {
    let from = number("SIM_FROM").unwrap_or(0);
    let mut found = Vec::new();
    for seed in (from + first..=from + number("SIM_SEEDS").unwrap_or(SEEDS)).step_by(2) {
        let began = Instant::now();
        let report = run(shape(seed));
        println!("seed {seed}: {} operations, {} grants, {:?}", report.operations, report.grants, began.elapsed());
        let failure = failure(seed, &report);
        failure.iter().for_each(|failure| println!("{failure}"));
        found.extend(failure);
    }
    assert!(found.is_empty(), "{} seeds have failed:\n{}", found.len(), found.join("\n"));
}

#[test]
fn odd_seeds_keep_every_promise() {
    every_second(1);
}

#[test]
fn even_seeds_keep_every_promise() {
    every_second(2);
}

/// A run follows from its seed alone, so that a failure can be replayed.
#[test]
fn same_seed_gives_same_trace() {
    for seed in [3, 4] {
        let shape = Shape { in_words: true, ..shape(seed) };
        let [first, second] = [(); 2].map(|()| std::thread::spawn(move || run(shape).trace).join().expect("a run"));
        assert!(first.len() > 1000, "a trace of {} moments says nothing", first.len());
        if let Some(difference) = first.parts_from(&second) {
            panic!("two runs of seed {seed} differ at {difference}");
        }
    }
}

#[test]
fn replay() {
    let seed = number("SIM_SEED").unwrap_or(1);
    let report = run(Shape { in_words: true, ..shape(seed) });
    if std::env::var_os("SIM_TRACE").is_some() {
        report.trace.print();
    }
    println!("seed {seed}: {} operations, {} grants in {} ms", report.operations, report.grants, report.took_ms);
    if let Some(failure) = failure(seed, &report) {
        panic!("{failure}");
    }
}
