//! No lock has two holders: intervals in which a hold was certainly there never overlap.
//!
//! Certain is from the moment its grant was answered until its release was sent or its lease may have ended.

use super::kit::{holds, show};
use crate::cluster::history::{History, Nanos};

pub fn check(history: &History) -> Vec<String> {
    let mut complaints = Vec::new();
    for holds in holds(history).values() {
        let mut certain: Vec<_> = holds.iter().map(|hold| (hold.grant.end, hold.certain_until(), hold)).collect();
        certain.retain(|(from, until, _)| from < until);
        certain.sort_by_key(|(from, ..)| *from);
        let mut latest: Option<(Nanos, &super::kit::Hold<'_>)> = None;
        for (from, until, hold) in certain {
            if let Some((held_until, before)) = latest
                && from < held_until
            {
                complaints.push(format!("two holders:\n  {}\n  {}", show(before.grant), show(hold.grant)));
            }
            if latest.is_none_or(|(held_until, _)| until > held_until) {
                latest = Some((until, hold));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::kit::Script;
    use super::check;

    #[test]
    fn hold_may_follow_sent_release_or_expired_lease() {
        let fine = Script::default()
            .grant("a", (0, 10), 1)
            .lost_release("a", (20, 90), 1)
            .grant("a", (15, 21), 2)
            .lease("b", (0, 10), 3, 50)
            .lease("b", (5, 50), 4, 50)
            .grant("c", (0, 10), 5);
        assert_eq!(check(&fine.0), Vec::<String>::new());
    }

    #[test]
    fn two_overlapping_holds_are_found_around_third() {
        let two = Script::default().grant("a", (0, 10), 1).release("a", (30, 40), 1).grant("a", (5, 29), 2);
        assert_eq!(check(&two.0).len(), 1);
        let long = Script::default().grant("a", (0, 10), 1).lease("a", (15, 20), 2, 8).release("a", (60, 61), 1).grant(
            "a",
            (40, 50),
            3,
        );
        assert_eq!(check(&long.0).len(), 2);
        let renewed = Script::default()
            .lease("a", (0, 10), 1, 50)
            .op(
                "a",
                crate::cluster::history::Ask::Renew { token: 1, lease_ms: 50 },
                (40, 45),
                crate::cluster::history::Answer::Renewed,
            )
            .grant("a", (50, 60), 2);
        assert_eq!(check(&renewed.0).len(), 1, "the renewal holds it until 90 ms");
    }
}
