//! No lease ends early: before it may be over, its key opens the hold, reads show it, and nobody else is granted.

use super::kit::{Hold, holds, show};
use crate::cluster::history::{Answer, Ask, History, Nanos, Op};
use crate::cluster::target::Mode;

pub fn check(history: &History) -> Vec<String> {
    let holds = holds(history);
    let mut complaints = Vec::new();
    for op in &history.ops {
        for (name, mode) in op.target.places() {
            let early = holds.get(name).into_iter().flatten().filter(|hold| {
                let is_certain = hold.grant.end < op.call && judged_by(op) < hold.certain_until();
                hold.grant.id != op.id && is_certain && denies(hold, op, mode)
            });
            complaints.extend(early.map(|hold| format!("ended early:\n  {}\n  {}", show(hold.grant), show(op))));
        }
    }
    complaints
}

/// By the clock of the node that answered, at the latest. A follower counts what its leader told it as old as the whole round
/// trip, so that it shows no lease longer than it is: of a read it may be ahead by the time that this took.
fn judged_by(op: &Op) -> Nanos {
    match op.ask {
        Ask::Read => op.end.saturating_add(op.end.saturating_sub(op.call)),
        _ => op.end,
    }
}

/// Whether this answer about the same name, asked for in this mode, says that the hold is not there.
fn denies(hold: &Hold<'_>, op: &Op, mode: Mode) -> bool {
    match (&op.ask, &op.answer) {
        (Ask::Acquire { .. }, Answer::Granted { token }) => {
            *token > hold.token && !Mode::go_together([hold.mode, mode])
        }
        (Ask::Renew { token, .. } | Ask::Convert { token, .. }, Answer::NotHeld) => *token == hold.token,
        // A lease may end late: who reads while it is over is told so, and a renewal may still find it.
        (Ask::Read, Answer::Seen { token, others, .. }) => {
            let is_seen = *token == Some(hold.token) || others.contains(&hold.token);
            !is_seen && !hold.may_have_lapsed_for(op)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::Script;
    use super::check;
    use crate::cluster::history::{Answer, Ask};
    use crate::cluster::target::{Mode, Target};

    #[test]
    fn lease_may_end_at_client_clock_expiry() {
        let fine = Script::default()
            .lease("a", (0, 10), 1, 100)
            .read("a", (20, 30), Some(1))
            .read("a", (95, 101), None)
            .lease("a", (90, 102), 2, 100);
        assert_eq!(check(&fine.0), Vec::<String>::new());
    }

    #[test]
    fn early_grant_read_and_refused_renewal_are_found() {
        let start = || Script::default().lease("a", (0, 10), 1, 100);
        assert_eq!(check(&start().lease("a", (20, 99), 2, 1).0).len(), 1);
        assert_eq!(check(&start().read("a", (40, 69), None).0).len(), 1);
        let renewal = Ask::Renew { token: 1, lease_ms: 100 };
        assert_eq!(check(&start().op("a", renewal, (20, 99), Answer::NotHeld).0).len(), 1);
        let extended = start().op("a", Ask::Renew { token: 1, lease_ms: 100 }, (50, 60), Answer::Renewed).read(
            "a",
            (105, 127),
            None,
        );
        assert_eq!(check(&extended.0).len(), 1);
    }

    #[test]
    fn slow_read_may_show_a_lease_that_ends_soon_as_over() {
        let leased = || Script::default().lease("a", (0, 10), 1, 100);
        assert_eq!(check(&leased().read("a", (20, 61), None).0), Vec::<String>::new());
        assert_eq!(check(&leased().read("a", (20, 59), None).0).len(), 1);
    }

    #[test]
    fn grant_between_lease_end_and_late_renewal_is_found() {
        let renewal = Ask::Renew { token: 1, lease_ms: 100 };
        let late =
            || Script::default().lease("a", (0, 10), 1, 100).op("a", renewal.clone(), (105, 120), Answer::Renewed);
        assert_eq!(check(&late().read("a", (90, 101), None).0), Vec::<String>::new());
        assert_eq!(check(&late().read("a", (130, 140), None).0).len(), 1);
        assert_eq!(check(&late().read("a", (20, 90), None).0).len(), 1);
        assert_eq!(check(&late().lease("a", (90, 104), 2, 100).0).len(), 1);
    }

    #[test]
    fn nothing_is_certain_after_sent_release() {
        let released = Script::default()
            .lease("a", (0, 10), 1, 100)
            .lost_release("a", (20, 60), 1)
            .read("a", (30, 40), None)
            .lease("a", (30, 45), 2, 100);
        assert_eq!(check(&released.0), Vec::<String>::new());
    }

    #[test]
    fn reader_ends_early_for_a_writer_and_not_for_a_reader() {
        let shared = || Script::default().lease(Target::new("a", Mode::Shared), (0, 10), 1, 100);
        assert_eq!(check(&shared().share("a", (20, 30), 2).see("a", (40, 50), &[1, 2]).0), Vec::<String>::new());
        assert_eq!(check(&shared().share("a", (20, 30), 2).see("a", (40, 50), &[2]).0).len(), 1);
        assert_eq!(check(&shared().lease("a", (20, 99), 2, 1).0).len(), 1);
    }

    #[test]
    fn converted_hold_keeps_its_lease_under_its_new_token() {
        let shared = Script::default().lease("a", (0, 10), 1, 100).convert("a", (20, 30), (1, 2), Mode::Shared);
        let refused = Ask::Convert { token: 2, to: Mode::Exclusive, wait_ms: None };
        let lost = shared.op("a", refused, (40, 50), Answer::NotHeld);
        assert_eq!(check(&lost.see("a", (60, 70), &[1]).see("a", (25, 28), &[]).0).len(), 2);
    }

    #[test]
    fn set_ends_early_in_each_of_its_names() {
        let set = Target::several(["a", "b"].map(|name| (name.to_owned(), Mode::Exclusive)));
        let seen = Script::default().lease(set, (0, 10), 1, 100).read("a", (20, 30), Some(1)).read("b", (20, 30), None);
        assert_eq!(check(&seen.0).len(), 1);
    }
}
