//! Listings in another order than that of the names: one pass over all locks, which keeps as many as one page shows.

use super::FrozenTable;
use crate::domain::ids::Name;
use crate::domain::locks::Lock;
use crate::domain::ranking::{LockOrder, Rank, Standing};
use crate::domain::time::Timestamp;
use crate::domain::view::{LockFilter, LockView};
use std::collections::BinaryHeap;

/// One page of locks in an order.
pub struct Ranked {
    pub locks: Vec<LockView>,
    /// The place of the last one, if there are more after it.
    pub last: Option<Rank>,
    /// How many locks pass the filter, on all pages.
    pub matching: u64,
}

impl FrozenTable {
    /// The first `rows` locks after the place `after`; fewer where they have about so many bytes.
    pub fn ranked(
        &self,
        filter: &LockFilter,
        order: LockOrder,
        after: Option<&Rank>,
        (rows, bytes_max): (usize, usize),
        now: Timestamp,
    ) -> Ranked {
        let (mut matching, mut first) = (0, BinaryHeap::with_capacity(rows.saturating_add(2)));
        for (name, lock) in self.matching(filter) {
            let standing = Standing::of(lock, now, |session| self.live(session));
            if !standing.is_in_use() || !filter.accepts_state(standing.is_held(), standing.waiters) {
                continue;
            }
            matching += 1;
            let place = (standing.number(order), name);
            let is_on_page = after.is_none_or(|after| place > (after.number, &after.name))
                && (first.len() <= rows || first.peek().is_some_and(|last| place < *last));
            if is_on_page {
                first.push(place);
                if first.len() > rows + 1 {
                    first.pop();
                }
            }
        }
        let (mut locks, mut bytes, mut last) = (Vec::new(), 0, None);
        for (number, name) in first.into_sorted_vec() {
            if locks.len() >= rows || bytes >= bytes_max {
                return Ranked { locks, last, matching };
            }
            let Some(lock) = self.locks.get(name) else { continue };
            let view = LockView::of(name, lock, now, |session| self.live(session));
            bytes += view.as_ref().map_or(0, LockView::shown_bytes);
            locks.extend(view);
            last = Some(Rank { number, name: name.clone() });
        }
        Ranked { locks, last: None, matching }
    }

    /// The locks that a filter may accept, in no order.
    pub(super) fn matching<'a>(&'a self, filter: &'a LockFilter) -> impl Iterator<Item = (&'a Name, &'a Lock)> {
        let is_under = |name: &Name| filter.prefixes.iter().any(|prefix| name.starts_with(&**prefix));
        self.locks.iter().filter(move |(name, lock)| is_under(name) && filter.may_accept(name, lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Dialect, HoldKey, Token};
    use crate::domain::locks::{Delivery, Hold, Locks, Owner};
    use crate::domain::table::Table;
    use crate::domain::time::Deadline;
    use crate::domain::{Caller, Metadata};

    const NOW: Timestamp = Timestamp(1_000);

    /// A table with locks of these names, each held since and until so many milliseconds.
    fn frozen(held: &[(&str, u64, u64)]) -> FrozenTable {
        let mut locks = Locks::default();
        for (number, (name, since, until)) in (1..).zip(held) {
            let hold = Hold {
                key: HoldKey([number as u8; 16]),
                token: Token(number),
                since: Timestamp(*since).into(),
                deadline: Deadline::at(Timestamp(*until)),
                owner: Owner::Bearer,
                metadata: Metadata::default(),
                dialect: Dialect::LdlmRest,
                caller: Caller::NOBODY,
                delivery: Delivery::Answered,
            };
            locks.add_hold(Name::from(*name), 1, false, hold);
        }
        FrozenTable { locks: locks.freeze(), ..Table::default().freeze() }
    }

    fn names(page: &Ranked) -> Vec<String> {
        page.locks.iter().map(|lock| lock.name.to_string()).collect()
    }

    #[test]
    fn pages_in_an_order_follow_without_gaps() {
        let held = [("c", 10, 9_000), ("a", 30, 8_000), ("b", 10, 7_000), ("b/ended", 1, 500), ("other", 2, 9_000)];
        let frozen = frozen(&held);
        let filter = LockFilter { prefixes: ["a", "b", "c"].map(String::from).into(), ..LockFilter::default() };
        let page = |order, after: Option<&Rank>| frozen.ranked(&filter, order, after, (2, 1 << 20), NOW);
        let first = page(LockOrder::Oldest, None);
        assert_eq!((names(&first), first.matching), (vec!["b".to_owned(), "c".to_owned()], 3));
        let second = page(LockOrder::Oldest, first.last.as_ref());
        assert_eq!((names(&second), second.last), (vec!["a".to_owned()], None));
        assert_eq!(names(&page(LockOrder::EndingFirst, None)), ["b", "a"]);
        assert_eq!(names(&page(LockOrder::MostWaiters, None)), ["a", "b"], "equal queues are ordered by name");
        let short = frozen.ranked(&filter, LockOrder::Oldest, None, (9, 1), NOW);
        assert_eq!((names(&short), short.last == first.last), (vec!["b".to_owned()], false), "bytes bound a page");
    }

    #[test]
    fn page_of_a_hundred_thousand_locks_takes_one_short_pass() {
        let all: Vec<String> = (0..100_000).map(|number| format!("load/{number}")).collect();
        let held: Vec<(&str, u64, u64)> =
            (0..).zip(&all).map(|(number, name)| (&**name, number % 977, 2_000 + number)).collect();
        let frozen = frozen(&held);
        let one_page_seconds = || {
            let begun = crate::base::clock::process_age();
            let page = frozen.ranked(&LockFilter::default(), LockOrder::EndingFirst, None, (100, 1 << 20), NOW);
            let took = crate::base::clock::process_age() - begun;
            assert_eq!((names(&page).len(), page.matching, &*page.locks[99].name), (100, 100_000, "load/99"));
            took.as_secs()
        };
        // A second is what a page may take in all; this is a build without optimisation, on a machine that may hold up one pass.
        assert!((0..3).any(|_| one_page_seconds() < 10));
    }
}
