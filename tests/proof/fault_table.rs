//! `make fault-table` writes `docs/faults.md`: each kind of fault alone, and what was found; each planted bug, and the
//! commit at which its test was last seen to catch it.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Instant;

use super::random::Random;
use super::tools::run;
use crate::cluster::fleet::Fleet;
use crate::cluster::run::run as run_cluster;
use crate::cluster::scenarios::{SIZE, turn};
use crate::cluster::soak;
use crate::mutants::{PLANTED, expect_red};
use crate::simulation::faults::{KINDS, KINDS_ALONE, Kind};
use crate::simulation::run::{Shape, run as run_simulation};
use crate::simulation::seeds::{failure, shape};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TABLE: &str = "docs/faults.md";

const HEADING: &str = "\
# Faults

`make fault-table` runs every kind of fault alone and writes this file. In each run, clients take, wait for, renew and release
locks all the time. Their history is then checked as a whole: exclusion, rising tokens, the order of waiters, leases, answers
that survive, and equal tables on all nodes. After each fault is healed, every node must grant a new lock within 10 s.
`make test` runs the same faults mixed; `make soak-simulation` and `make soak-cluster` run them for hours.
";

struct Row {
    what: String,
    histories: usize,
    operations: usize,
    grants: usize,
    seeds: String,
    violations: usize,
}

impl Row {
    fn written(&self) -> String {
        let Row { what, histories, operations, grants, seeds, violations } = self;
        println!("{what}: {operations} operations, {grants} grants, {violations} violations");
        format!("| {what} | {histories} | {operations} | {grants} | {seeds} | {violations} |\n")
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn simulated(kinds: &[Kind], alone: bool, seeds: u64) -> String {
    let mut rows = String::new();
    for kind in kinds {
        let what = kind.words.to_owned();
        let mut row =
            Row { what, histories: 0, operations: 0, grants: 0, seeds: format!("1 to {seeds}"), violations: 0 };
        for seed in 1..=seeds {
            let shape = Shape { alone, only: Some((kind.one)(&mut Random::of(seed))), ..shape(seed) };
            let report = std::thread::spawn(move || run_simulation(shape));
            let report = report.join().expect("a run");
            row.histories += 1;
            row.operations += report.operations;
            row.grants += report.grants;
            row.violations += usize::from(!report.complaints.is_empty());
            failure(shape, &report).iter().for_each(|failure| println!("{}: {failure}", kind.words));
        }
        rows += &row.written();
    }
    rows
}

fn real() -> String {
    let _turn = turn();
    let mut next = Random::seeded("fault table");
    let mut rows = String::new();
    for fault in soak::FAULTS {
        let mut random = next.clone();
        next = next.fork();
        let seed = random.seed();
        let mut fleet = Fleet::start(SIZE);
        if !fault.fits(&fleet) {
            panic!("{fault} does not fit this machine: run it as root");
        }
        let report = run_cluster("fault table", &mut fleet, &[fault; 2], &mut random);
        report.complaints.iter().for_each(|found| println!("{fault}: {found}"));
        let row = Row {
            what: fault.to_string(),
            histories: 1,
            operations: report.operations,
            grants: report.grants,
            seeds: seed.to_string(),
            violations: report.complaints.len(),
        };
        rows += &row.written();
    }
    rows
}

fn planted(commit: &str) -> String {
    let mut rows = String::new();
    for (bug, test) in PLANTED {
        let caught = catch_unwind(AssertUnwindSafe(|| expect_red(bug, test))).is_ok();
        let seen = if caught { commit } else { "**not caught**" };
        writeln!(rows, "| `{bug}` | `{test}` | {seen} |").expect("text can be written");
    }
    rows
}

fn commit() -> String {
    let git = |arguments: &[&str]| run(Command::new("git").args(arguments).current_dir(ROOT)).trim().to_owned();
    let changed = if git(&["status", "--porcelain", "src", "tests"]).is_empty() { "" } else { ", changed" };
    format!("{}{changed}", git(&["log", "-1", "--format=%h, %cs"]))
}

#[test]
#[ignore = "runs for a quarter of an hour: make fault-table"]
fn fault_table_is_written() {
    let (began, commit, seeds) = (Instant::now(), commit(), number("SEEDS", 10));
    let head = "histories | operations | grants | seeds | violations |\n|---|---|---|---|---|---|\n";
    let mut text = HEADING.to_owned();
    let three = simulated(&KINDS, false, seeds);
    write!(text, "\n## Three or five nodes in simulated time\n\nCommit {commit}.\n\n| fault | {head}{three}")
        .and_then(|()| write!(text, "\n## A node alone in simulated time\n\nCommit {commit}.\n\n"))
        .and_then(|()| write!(text, "| fault | {head}{}", simulated(&KINDS_ALONE, true, seeds)))
        .and_then(|()| {
            write!(text, "\n## Three processes\n\nCommit {commit}; each fault twice. `PROOF_SEED` repeats a run.\n\n")
        })
        .and_then(|()| write!(text, "| fault | {head}{}", real()))
        .and_then(|()| write!(text, "\n## Planted bugs\n\nEach is switched on alone, and its test must fail.\n\n"))
        .and_then(|()| write!(text, "| bug | caught by | last seen at |\n|---|---|---|\n{}", planted(&commit)))
        .expect("text can be written");
    std::fs::write(format!("{ROOT}/{TABLE}"), text).expect("the table can be written");
    println!("{TABLE} is written after {:?}", began.elapsed());
}

/// A kind of fault or a planted bug that is new needs its row: `make fault-table`.
#[test]
fn every_fault_and_every_planted_bug_has_its_row_without_a_violation() {
    let text = std::fs::read_to_string(format!("{ROOT}/{TABLE}")).expect(TABLE);
    let row = |what: &str| {
        let row = text.lines().find(|line| line.starts_with(&format!("| {what} |")));
        row.unwrap_or_else(|| panic!("{TABLE} has no row of {what}: run `make fault-table`"))
    };
    let faults = KINDS.iter().chain(&KINDS_ALONE).map(|kind| kind.words.to_owned());
    for fault in faults.chain(soak::FAULTS.iter().map(|fault| fault.to_string())) {
        assert!(row(&fault).ends_with("| 0 |"), "{}", row(&fault));
    }
    for (bug, test) in PLANTED {
        let row = row(&format!("`{bug}` | `{test}`"));
        assert!(!row.contains("not caught"), "{row}");
    }
}
