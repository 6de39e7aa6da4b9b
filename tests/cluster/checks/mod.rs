//! Checkers of a history, one file each; none of them talks to a server.
//!
//! Each returns what it found wrong, in words that name the operations, and has tests with histories that must fail.

mod fifo;
mod holders;
mod kit;
mod leases;
mod linearizable;
mod lock_model;
mod tokens;

use super::history::History;

/// The names of which every operation is checked against a lock: their leases outlive the run.
pub const LINEARIZABLE: &str = "lin-";

/// A checker and its name.
type Judge = (&'static str, fn(&History) -> Vec<String>);

const JUDGES: [Judge; 5] = [
    SEARCH,
    ("one holder", holders::check),
    ("tokens", tokens::check),
    ("fifo", fifo::check),
    ("leases", leases::check),
];

/// The one that may take long.
const SEARCH: Judge = ("linearizable", linearizable::check);

/// The complaints of the other checkers.
pub fn quick(history: &History) -> Vec<String> {
    found(&JUDGES[1..], history)
}

/// The complaints of all checkers.
pub fn all(history: &History) -> Vec<String> {
    found(&JUDGES, history)
}

fn found(judges: &[Judge], history: &History) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, judge) in judges {
        complaints.extend(judge(history).into_iter().map(|what| format!("{name}: {what}")));
    }
    complaints
}

#[test]
#[ignore = "judges a file again: HISTORY=target/tmp/histories/....jsonl cargo test history_file_is_judged_again -- --ignored"]
fn history_file_is_judged_again() {
    let Some(file) = std::env::var_os("HISTORY") else { return };
    let complaints = all(&super::history::read(file.as_ref()));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
