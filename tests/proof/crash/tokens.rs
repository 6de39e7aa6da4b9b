//! Every fencing token that was ever answered, and the rules that they must keep across all crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// Numbers beyond this are not exact in every client's JSON.
const JSON_SAFE: u64 = 1 << 53;

#[derive(Default)]
pub struct Tokens(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    all: BTreeSet<u64>,
    last_of_name: BTreeMap<String, u64>,
}

impl Tokens {
    /// The highest token answered so far: every grant that is asked for from now on must exceed it.
    pub fn highest(&self) -> u64 {
        self.0.lock().expect("no worker panics").all.last().copied().unwrap_or(0)
    }

    pub fn count(&self) -> usize {
        self.0.lock().expect("no worker panics").all.len()
    }

    /// Notes the token of a grant that was asked for when `floor` was the highest; says what is wrong with it.
    pub fn note(&self, name: &str, token: u64, floor: u64) -> Option<String> {
        let mut seen = self.0.lock().expect("no worker panics");
        let before = seen.last_of_name.get(name).copied().unwrap_or(0);
        let fresh = seen.all.insert(token);
        seen.last_of_name.insert(name.to_owned(), token);
        if !fresh {
            return Some(format!("{name}: token {token} was given before"));
        }
        if token <= floor || token <= before {
            return Some(format!("{name}: token {token} is not above {}", floor.max(before)));
        }
        (token >= JSON_SAFE).then(|| format!("{name}: token {token} is not below 2^53"))
    }
}
