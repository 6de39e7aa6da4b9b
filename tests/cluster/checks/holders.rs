//! Holders of a lock go together at each moment: one alone, or shared ones, or counted ones whose weights fit.
//!
//! A hold counts from the moment its grant was answered until its release was sent or its lease may have ended; what it is
//! converted to, from the answer on. A hold of several names counts in each of them.

use super::kit::{Hold, holds, show};
use crate::cluster::history::{History, Nanos};
use crate::cluster::target::Mode;

pub fn check(history: &History) -> Vec<String> {
    holds(history).iter().flat_map(|(name, holds)| check_name(name, holds)).collect()
}

fn check_name(name: &str, holds: &[Hold<'_>]) -> Vec<String> {
    let spells = |hold| Hold::spells(hold).map(move |(from, until, mode)| (from, until, mode, hold));
    let mut spells: Vec<(Nanos, Nanos, Mode, &Hold<'_>)> = holds.iter().flat_map(spells).collect();
    spells.sort_by_key(|(from, ..)| *from);
    let mut complaints = Vec::new();
    let mut present: Vec<(Nanos, Nanos, Mode, &Hold<'_>)> = Vec::new();
    for spell in spells {
        present.retain(|(_, until, ..)| *until > spell.0);
        present.push(spell);
        if !Mode::go_together(present.iter().map(|(_, _, mode, _)| *mode)) {
            let shown = present.iter().map(|(_, _, mode, hold)| format!("\n  {mode:?} {}", show(hold.grant)));
            complaints.push(format!("holders of {name} that do not go together:{}", shown.collect::<String>()));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::kit::Script;
    use super::check;
    use crate::cluster::target::{Mode, Target};

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

    fn several(modes: [Mode; 2]) -> Target {
        Target::several([("a".to_owned(), modes[0]), ("b".to_owned(), modes[1])])
    }

    #[test]
    fn readers_go_together_and_a_writer_with_nobody() {
        let readers = || Script::default().share("a", (0, 10), 1).share("a", (5, 20), 2);
        assert_eq!(check(&readers().0), Vec::<String>::new());
        assert_eq!(check(&readers().grant("a", (30, 40), 3).0).len(), 1);
        let released = readers().release("a", (25, 60), 1).lost_release("a", (26, 60), 2);
        assert_eq!(check(&released.grant("a", (20, 30), 3).0), Vec::<String>::new());
        assert_eq!(check(&Script::default().grant("a", (0, 10), 1).share("a", (20, 30), 2).0).len(), 1);
    }

    #[test]
    fn counted_holds_fit_into_the_size_by_weight() {
        let place = |weight| Target::new("a", Mode::Counted { size: 4, weight });
        let full = || Script::default().grant(place(3), (0, 10), 1).grant(place(1), (5, 20), 2);
        assert_eq!(check(&full().0), Vec::<String>::new());
        assert_eq!(check(&full().grant(place(1), (30, 40), 3).0).len(), 1);
    }

    #[test]
    fn set_is_held_in_each_of_its_names() {
        let set = || Script::default().grant(several([Mode::Exclusive, Mode::Shared]), (0, 10), 1);
        assert_eq!(check(&set().share("b", (20, 30), 2).0), Vec::<String>::new());
        assert_eq!(check(&set().share("a", (20, 30), 2).0).len(), 1);
        assert_eq!(check(&set().grant("b", (20, 30), 2).0).len(), 1);
        let given_back = set().release(several([Mode::Exclusive, Mode::Shared]), (15, 50), 1);
        assert_eq!(check(&given_back.grant("a", (12, 20), 2).grant("b", (12, 20), 3).0), Vec::<String>::new());
    }

    #[test]
    fn conversion_counts_from_its_answer_and_is_shared_until_then() {
        let upgraded = || Script::default().share("a", (0, 10), 1).convert("a", (20, 40), (1, 3), Mode::Exclusive);
        assert_eq!(check(&upgraded().share("a", (5, 12), 2).release("a", (30, 35), 2).0), Vec::<String>::new());
        assert_eq!(check(&upgraded().share("a", (5, 12), 2).0).len(), 1);
        assert_eq!(check(&upgraded().grant("a", (22, 30), 2).0).len(), 2, "while it waits, and after that");
        let downgraded = || Script::default().grant("a", (0, 10), 1).convert("a", (20, 40), (1, 2), Mode::Shared);
        assert_eq!(check(&downgraded().share("a", (22, 30), 3).0), Vec::<String>::new());
        assert_eq!(check(&downgraded().share("a", (12, 15), 3).0).len(), 1);
        assert_eq!(check(&downgraded().grant("a", (50, 60), 3).0).len(), 1);
    }
}
