//! Fencing tokens rise in real time, across all names and nodes, and none is given twice.

use std::collections::BTreeMap;

use super::kit::show;
use crate::cluster::history::{History, Nanos, Op};

/// Numbers beyond this are not exact in every client's JSON.
const JSON_SAFE: u64 = 1 << 53;

pub fn check(history: &History) -> Vec<String> {
    let grants: Vec<(&Op, u64)> = history.ops.iter().filter_map(|op| Some((op, op.new_token()?))).collect();
    let mut complaints = twice_or_too_large(&grants);
    let mut answers: Vec<(Nanos, u64, &Op)> = grants.iter().map(|(op, token)| (op.end, *token, *op)).collect();
    let mut calls: Vec<(Nanos, u64, &Op)> = grants.iter().map(|(op, token)| (op.call, *token, *op)).collect();
    answers.sort_by_key(|(at, ..)| *at);
    calls.sort_by_key(|(at, ..)| *at);
    let mut answered = answers.into_iter().peekable();
    let mut highest: Option<(u64, &Op)> = None;
    for (call, token, op) in calls {
        while let Some((_, earlier, before)) = answered.next_if(|(end, ..)| *end < call) {
            if highest.is_none_or(|(most, _)| earlier > most) {
                highest = Some((earlier, before));
            }
        }
        if let Some((most, before)) = highest
            && token <= most
        {
            complaints.push(format!("a token does not rise:\n  {}\n  {}", show(before), show(op)));
        }
    }
    complaints
}

fn twice_or_too_large(grants: &[(&Op, u64)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut given: BTreeMap<u64, &Op> = BTreeMap::new();
    for (op, token) in grants {
        if let Some(before) = given.insert(*token, op) {
            complaints.push(format!("a token is given twice:\n  {}\n  {}", show(before), show(op)));
        }
        if *token >= JSON_SAFE {
            complaints.push(format!("a token is not below 2^53: {}", show(op)));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::kit::Script;
    use super::check;
    use crate::cluster::target::Mode;

    #[test]
    fn overlapping_requests_may_get_tokens_in_any_order() {
        let fine = Script::default().grant("a", (0, 20), 2).grant("b", (10, 30), 1).grant("c", (40, 50), 3);
        assert_eq!(check(&fine.0), Vec::<String>::new());
    }

    #[test]
    fn falling_repeated_and_oversized_tokens_are_found() {
        let falls = Script::default().grant("a", (0, 20), 5).grant("b", (30, 40), 4);
        assert_eq!(check(&falls.0).len(), 1);
        let again = Script::default().grant("a", (0, 20), 5).grant("b", (10, 40), 5);
        assert_eq!(check(&again.0).len(), 1);
        let large = Script::default().grant("a", (0, 20), 1 << 53);
        assert_eq!(check(&large.0).len(), 1);
    }

    #[test]
    fn conversion_gives_a_token_above_all_earlier_ones() {
        let converted = |token| {
            let held = Script::default().grant("a", (0, 20), 5).grant("b", (30, 40), 6);
            held.convert("a", (50, 60), (5, token), Mode::Shared)
        };
        assert_eq!(check(&converted(7).0), Vec::<String>::new());
        assert_eq!(check(&converted(6).0).len(), 2, "given twice, and too low");
    }
}
