//! First come, first served: who was seen in the queue before another asked gets the lock before that other.
//!
//! Only what was seen counts, because a request may take any time to arrive. One whose requests were all lost for
//! longer than its place is kept may have lost the place.

use std::collections::{BTreeMap, HashMap};

use super::kit::show;
use crate::cluster::history::{History, Nanos, Op};

/// A place is kept for 10 s after its request was lost; the client notices that later than the server.
const PLACE_KEPT: Nanos = 7_000_000_000;

pub fn check(history: &History) -> Vec<String> {
    let ops: HashMap<u64, &Op> = history.ops.iter().map(|op| (op.id, op)).collect();
    let mut waited: BTreeMap<&str, Vec<(Nanos, &Op, u64)>> = BTreeMap::new();
    for queued in &history.queued {
        let Some(op) = ops.get(&queued.op) else { continue };
        if let Some(token) = op.granted().filter(|_| op.lost_for <= PLACE_KEPT) {
            waited.entry(&op.name).or_default().push((queued.at, op, token));
        }
    }
    let mut complaints = Vec::new();
    for op in &history.ops {
        let Some(token) = op.granted() else { continue };
        for (seen, before, earlier) in waited.get(op.name.as_str()).into_iter().flatten() {
            if *seen < op.call && token < *earlier {
                complaints.push(format!("overtaken:\n  {}\n  {}", show(before), show(op)));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::kit::Script;
    use super::check;

    fn queue(first: u64, second: u64) -> Script {
        Script::default().grant("a", (0, 90), first).seen_waiting(20).grant("a", (30, 95), second).seen_waiting(40)
    }

    #[test]
    fn the_order_of_the_queue_is_the_order_of_the_grants() {
        assert_eq!(check(&queue(1, 2).0), Vec::<String>::new());
        assert_eq!(check(&queue(2, 1).0).len(), 1);
    }

    #[test]
    fn only_a_place_that_was_seen_and_kept_counts() {
        let unseen = Script::default().grant("a", (0, 90), 2).grant("a", (30, 95), 1);
        assert_eq!(check(&unseen.0), Vec::<String>::new());
        let mut lost = queue(2, 1);
        lost.0.ops[0].lost_for = super::PLACE_KEPT + 1;
        assert_eq!(check(&lost.0), Vec::<String>::new());
    }
}
