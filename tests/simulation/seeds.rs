//! The seeds that are run: hundreds in CI, more when asked for, one again to find out what went wrong.

use std::time::Instant;

use super::run::{Report, Shape, run};

/// How long faults go on, in simulated time.
const FAULTS_MS: u64 = 8_000;
/// What CI runs, in two halves, for two cores.
const SEEDS: u64 = 200;

pub fn shape(seed: u64) -> Shape {
    Shape { seed, alone: false, faults_ms: FAULTS_MS, in_words: false, only: None }
}

pub fn shape_alone(seed: u64) -> Shape {
    Shape { alone: true, ..shape(seed) }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The complaints about a run, and how to replay it.
pub fn failure(shape: Shape, report: &Report) -> Option<String> {
    let Shape { seed, alone, .. } = shape;
    let test = if alone { "replay_alone" } else { "replay" };
    (!report.complaints.is_empty()).then(|| {
        format!(
            "seed {seed} has {} complaints; to see it again:\n  SIM_SEED={seed} cargo test --features mutants --test all \
             simulation::seeds::{test} -- --exact --nocapture\n{}",
            report.complaints.len(),
            report.complaints.join("\n")
        )
    })
}

/// Every `step`th seed from the first on: `SIM_FROM` moves where they begin, `SIM_SEEDS` says up to which they go.
fn every(step: usize, first: u64, shape: fn(u64) -> Shape) {
    let from = number("SIM_FROM").unwrap_or(0);
    let mut found = Vec::new();
    for seed in (from + first..=from + number("SIM_SEEDS").unwrap_or(SEEDS)).step_by(step) {
        let began = Instant::now();
        let report = run(shape(seed));
        println!("seed {seed}: {} operations, {} grants, {:?}", report.operations, report.grants, began.elapsed());
        let failure = failure(shape(seed), &report);
        failure.iter().for_each(|failure| println!("{failure}"));
        found.extend(failure);
    }
    assert!(found.is_empty(), "{} seeds have failed:\n{}", found.len(), found.join("\n"));
}

#[test]
fn odd_seeds_keep_every_promise() {
    every(2, 1, shape);
}

#[test]
fn even_seeds_keep_every_promise() {
    every(2, 2, shape);
}

#[test]
fn standalone_seeds_keep_every_promise() {
    every(1, 1, shape_alone);
}

/// A run follows from its seed alone, so that a failure can be replayed.
#[test]
fn same_seed_gives_same_trace() {
    for shape in [shape(3), shape(4), shape_alone(3)] {
        let shape = Shape { in_words: true, ..shape };
        let [first, second] = [(); 2].map(|()| std::thread::spawn(move || run(shape).trace).join().expect("a run"));
        let least = if shape.alone { 100 } else { 1000 };
        assert!(first.len() > least, "a trace of {} moments says nothing", first.len());
        if let Some(difference) = first.parts_from(&second) {
            panic!("two runs of seed {} differ at {difference}", shape.seed);
        }
    }
}

#[test]
fn replay() {
    once_more(shape);
}

#[test]
fn replay_alone() {
    once_more(shape_alone);
}

fn once_more(shape: fn(u64) -> Shape) {
    let seed = number("SIM_SEED").unwrap_or(1);
    let report = run(Shape { in_words: true, ..shape(seed) });
    if std::env::var_os("SIM_TRACE").is_some() {
        report.trace.print();
    }
    println!("seed {seed}: {} operations, {} grants in {} ms", report.operations, report.grants, report.took_ms);
    if let Some(failure) = failure(shape(seed), &report) {
        panic!("{failure}");
    }
}
