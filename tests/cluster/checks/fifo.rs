//! First come, first served: who was seen in the queue before another asked gets the lock before that other.
//!
//! Only what was seen counts, because a request may take any time to arrive. One whose requests were all lost for
//! longer than its place is kept may have lost the place, and while they are lost others are granted what it waits for.
//!
//! Readers that are granted a lock together have tokens in the order of the queue, so they need no exception; nor do those
//! who ask for several names. An upgrade overtakes by rule, and is no acquire.

use std::collections::{BTreeMap, HashMap};

use super::kit::show;
use crate::cluster::history::{History, Nanos, Op};

/// A place is kept for 10 s after its request was lost; the client notices that later than the server.
const PLACE_KEPT: Nanos = 7_000_000_000;
/// By then a request that asks again has its place back.
const ARRIVES: Nanos = 2_000_000_000;
/// The same where a request was lost: it may be sent to a node that stands still, and arrives when the node goes on.
const ARRIVES_LATE: Nanos = 10_000_000_000;

pub fn check(history: &History) -> Vec<String> {
    let ops: HashMap<u64, &Op> = history.ops.iter().map(|op| (op.id, op)).collect();
    let mut waited: BTreeMap<&str, Vec<(Nanos, &Op, u64)>> = BTreeMap::new();
    for queued in &history.queued {
        let Some(op) = ops.get(&queued.op) else { continue };
        if let Some(token) = op.granted().filter(|_| op.lost_for <= PLACE_KEPT) {
            let arrives = if op.lost_for > 0 { ARRIVES_LATE } else { ARRIVES };
            let present = if op.asked_again > 0 { op.asked_again + arrives } else { 0 };
            // A request for several names stands in all their queues or in none.
            for (name, _) in op.target.places() {
                waited.entry(name).or_default().push((queued.at.max(present), op, token));
            }
        }
    }
    let mut complaints = Vec::new();
    for op in &history.ops {
        let Some(token) = op.granted() else { continue };
        let of_names = op.target.places().filter_map(|(name, _)| waited.get(name));
        for (seen, before, earlier) in of_names.flatten() {
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
    use crate::cluster::target::{Mode, Target};

    fn queue(first: u64, second: u64) -> Script {
        Script::default().grant("a", (0, 90), first).seen_waiting(20).grant("a", (30, 95), second).seen_waiting(40)
    }

    #[test]
    fn grants_follow_queue_order() {
        assert_eq!(check(&queue(1, 2).0), Vec::<String>::new());
        assert_eq!(check(&queue(2, 1).0).len(), 1);
    }

    #[test]
    fn only_observed_queue_places_count() {
        let unseen = Script::default().grant("a", (0, 90), 2).grant("a", (30, 95), 1);
        assert_eq!(check(&unseen.0), Vec::<String>::new());
        let mut lost = queue(2, 1);
        lost.0.ops[0].lost_for = super::PLACE_KEPT + 1;
        assert_eq!(check(&lost.0), Vec::<String>::new());
    }

    #[test]
    fn lost_waiter_precedes_later_requests_after_return() {
        let mut back = queue(2, 1);
        back.0.ops[0].asked_again = 50;
        assert_eq!(check(&back.0), Vec::<String>::new(), "the other may have been granted before");
        let later = 60 + super::ARRIVES;
        let mut script =
            Script::default().grant("a", (0, later + 9), 2).seen_waiting(20).grant("a", (later, later + 8), 1);
        script.0.ops[0].asked_again = 50;
        assert_eq!(check(&script.0).len(), 1);
    }

    #[test]
    fn reader_overtakes_no_writer_and_no_set() {
        let writer = |mode, tokens: (u64, u64)| {
            let waits = Script::default().grant("a", (0, 90), tokens.0).seen_waiting(20);
            waits.grant(Target::new("a", mode), (30, 80), tokens.1)
        };
        assert_eq!(check(&writer(Mode::Shared, (1, 2)).0), Vec::<String>::new());
        assert_eq!(check(&writer(Mode::Shared, (2, 1)).0).len(), 1);
        let set = || Target::several([("b".to_owned(), Mode::Exclusive), ("a".to_owned(), Mode::Shared)]);
        let behind = |first, second| {
            Script::default().grant(set(), (0, 90), first).seen_waiting(20).grant("a", (30, 80), second)
        };
        assert_eq!(check(&behind(1, 2).0), Vec::<String>::new());
        assert_eq!(check(&behind(2, 1).0).len(), 1);
        let before = Script::default().grant("a", (0, 90), 2).seen_waiting(20).grant(set(), (30, 80), 1);
        assert_eq!(check(&before.0).len(), 1);
    }
}
