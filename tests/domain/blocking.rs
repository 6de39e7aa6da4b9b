//! Who is in the way of whom, as a look at one lock shows it.

use super::kit::{Asking, Bench, ask, name};
use super::kit_modes::{LONG_MS, wait};
use latchd::domain::view::Blocking;

/// A table with the sessions 1 to 3.
fn bench() -> Bench {
    let mut bench = Bench::new();
    (1..=3).for_each(|number| bench.open(number, LONG_MS));
    bench
}

fn blocking(bench: &Bench, lock: &str) -> Vec<Blocking> {
    bench.table.blocking(&name(lock), bench.table.now(), 1_000)
}

#[test]
fn chain_of_waits_is_followed_from_the_nearest() {
    let mut bench = bench();
    for (number, lock) in [(1, "a"), (2, "b"), (3, "c")] {
        bench.acquired(ask(lock, number.into()).session(number));
    }
    bench.queued(wait("b", 4).session(1));
    bench.queued(wait("c", 5).session(2));
    let shown = |lock: &str| blocking(&bench, lock).iter().map(|step| step.name.to_string()).collect::<Vec<_>>();
    assert_eq!(
        (shown("a"), shown("b"), shown("c")),
        (vec!["b".to_owned(), "c".to_owned()], vec!["c".to_owned()], vec![])
    );
}

#[test]
fn look_ends_although_an_owner_waits_again_and_again_in_a_long_queue() {
    let mut bench = bench();
    bench.acquired(ask("a", 1).session(1));
    bench.acquired(ask("b", 2).session(2));
    for number in 0..300 {
        bench.queued(wait("b", 10 + number).session(1));
    }
    let found = blocking(&bench, "a").len();
    // To find the wait at place n, n others are looked at.
    assert!((150..250).contains(&found), "{found}");
}
