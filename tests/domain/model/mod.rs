//! Random scripts of log entries, checked against a naive model and against one invariant a file.
//!
//! A failing test prints its seed, and the smallest script found that still fails. To repeat it, or to search longer:
//!
//! ```text
//! PROPTEST_RNG_SEED=123 cargo test --test all domain::model::fifo     repeats the same scripts
//! PROPTEST_CASES=100000 cargo test --test all domain::model           searches longer than CI
//! ```

mod agrees;
mod busy;
mod capacity;
mod choices;
mod concrete;
pub mod driver;
mod encodings;
mod ended_sessions;
mod fifo;
mod leases;
mod listings;
mod preflight;
mod reference;
mod replays;
pub mod script;
mod snapshots;
mod tokens;
mod usage;

use driver::Played;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestCaseResult, TestError, TestRunner};
use script::{Step, steps};
use std::hash::{BuildHasher, Hasher};

/// How many scripts each test plays unless `PROPTEST_CASES` is set: all tests together take seconds.
const CASES: u32 = 150;

/// Runs a property over many values; a failure names the seed that repeats it.
pub fn for_all<S: Strategy>(strategy: S, property: impl Fn(S::Value) -> TestCaseResult) {
    for_many(CASES, strategy, property);
}

fn for_many<S: Strategy>(cases: u32, strategy: S, property: impl Fn(S::Value) -> TestCaseResult) {
    let asked = std::env::var("PROPTEST_CASES").ok().map(|_| Config::default().cases);
    let seed = match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => std::hash::RandomState::new().build_hasher().finish(),
    };
    let config = Config {
        cases: asked.unwrap_or(cases),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    match TestRunner::new(config).run(&strategy, property) {
        Ok(()) => {}
        Err(TestError::Abort(why)) => panic!("given up: {why}"),
        Err(TestError::Fail(why, value)) => {
            panic!("{why}\nof the smallest value that fails: {value:#?}\nagain: PROPTEST_RNG_SEED={seed}")
        }
    }
}

/// Plays random scripts, each with a new `check` that sees every entry.
fn for_all_scripts<C>(start: impl Fn() -> C)
where
    C: FnMut(&Played) -> Result<(), String>,
{
    for_all_scripts_of(CASES, steps(), start);
}

fn for_all_scripts_of<C>(cases: u32, scripts: impl Strategy<Value = Vec<Step>>, start: impl Fn() -> C)
where
    C: FnMut(&Played) -> Result<(), String>,
{
    for_many(cases, scripts, |script| {
        let mut check = start();
        driver::play(&script, |played| check(played)).map(|_| ()).map_err(TestCaseError::fail)
    });
}
