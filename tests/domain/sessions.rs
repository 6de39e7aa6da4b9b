//! Sessions: what keeps one alive, and what its end does to its holds and waiters.

use super::kit::{Asking, Bench, acquire, ask, close, ended, key, name, open, release, session};
use latchd::domain::{Command, EndReason, Event, Outcome, Proof, Refusal, Timestamp, WaitEnd};

const IDLE_MS: u64 = 100;

fn lives(bench: &Bench, number: u8) -> bool {
    bench.table.session_view(session(number)).is_some()
}

fn touch(bench: &mut Bench, number: u8) {
    bench.submit(vec![session(number)], false, Vec::new());
}

#[test]
fn an_idle_session_ends_only_strictly_after_its_time() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.pass_ms(IDLE_MS).tick();
    assert!(lives(&bench, 1));
    let events = bench.pass_ms(1).tick();
    assert_eq!(events, [Event::SessionEnded { session: session(1), idle: true }]);
    assert!(!lives(&bench, 1));
}

#[test]
fn a_touch_starts_the_idle_time_anew_before_anything_is_judged() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.pass_ms(IDLE_MS + 1);
    touch(&mut bench, 1);
    assert!(lives(&bench, 1), "it was seen in the entry that would have ended it");
    bench.pass_ms(IDLE_MS).tick();
    assert!(lives(&bench, 1));
}

#[test]
fn any_command_that_carries_the_session_is_a_sighting() {
    let commands: [fn() -> Command; 4] = [
        || acquire(ask("b", 2).session(1)),
        || Command::Release { name: name("a"), session: Some(session(1)), proof: Proof::Key(key(1)) },
        || Command::Renew { name: name("a"), session: Some(session(1)), proof: Proof::Key(key(1)), lease_ms: 1 },
        || Command::Release { name: name("none"), session: Some(session(1)), proof: Proof::Key(key(9)) },
    ];
    for command in commands {
        let mut bench = Bench::new();
        bench.open(1, IDLE_MS);
        bench.acquired(ask("a", 1).session(1));
        bench.pass_ms(IDLE_MS + 1).outcome(command());
        assert!(lives(&bench, 1), "{:?} did not count", command());
    }
}

#[test]
fn a_command_of_another_session_is_no_sighting() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.open(2, 10 * IDLE_MS);
    bench.acquired(ask("a", 1).session(1));
    bench.pass_ms(IDLE_MS + 1).outcome(Command::Renew {
        name: name("a"),
        session: Some(session(2)),
        proof: Proof::Key(key(1)),
        lease_ms: 1,
    });
    assert!(!lives(&bench, 1));
}

#[test]
fn no_session_ends_while_sightings_wait_for_the_next_entry() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.pass_ms(10 * IDLE_MS).submit(Vec::new(), true, Vec::new());
    assert!(lives(&bench, 1));
    touch(&mut bench, 1);
    assert!(lives(&bench, 1));
    bench.pass_ms(IDLE_MS + 1).tick();
    assert!(!lives(&bench, 1));
}

#[test]
fn a_session_whose_request_waits_is_not_idle_and_is_so_anew_from_its_end() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).session(1).wait_ms(5 * IDLE_MS));
    assert_eq!(bench.table.session_view(session(1)).expect("it lives").deadline, None);
    bench.pass_ms(5 * IDLE_MS).tick();
    assert!(lives(&bench, 1));
    bench.pass_ms(1).tick();
    let deadline = bench.table.session_view(session(1)).expect("its wait ended just now").deadline;
    assert_eq!(deadline, Some(Timestamp(6 * IDLE_MS + 1)));
    bench.pass_ms(IDLE_MS + 1).tick();
    assert!(!lives(&bench, 1));
}

#[test]
fn the_end_of_one_of_two_waits_does_not_start_the_idle_time() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).session(1).wait_ms(10));
    bench.queued(ask("a", 3).session(1).wait_ms(5 * IDLE_MS));
    bench.pass_ms(11).tick();
    bench.pass_ms(2 * IDLE_MS).tick();
    assert!(lives(&bench, 1));
}

#[test]
fn its_end_frees_its_holds_and_ends_its_waits_and_nobody_elses() {
    let mut bench = Bench::new();
    (1..=2).for_each(|number| bench.open(number, IDLE_MS));
    let token = bench.acquired(ask("a", 1).session(1)).token;
    bench.acquired(ask("b", 2).session(2));
    let waiting = bench.queued(ask("b", 3).session(1).wait_ms(50));
    let next = bench.queued(ask("a", 4).session(2).wait_ms(50));
    let (outcome, events) = bench.run(close(1));
    assert_eq!(outcome, Outcome::SessionClosed);
    assert!(events.contains(&Event::SessionEnded { session: session(1), idle: false }));
    assert_eq!(ended(&events), [(token, EndReason::SessionEnded)]);
    assert!(events.contains(&Event::WaiterEnded { command: waiting, why: WaitEnd::SessionEnded }));
    assert!(events.iter().any(|event| matches!(event, Event::WaiterGranted { command, .. } if *command == next)));
    assert_eq!((bench.seen("a"), bench.seen("b")), ((1, 0), (1, 0)));
}

#[test]
fn an_ended_session_is_unknown() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.outcome(close(1));
    assert_eq!(bench.refused(close(1)), Refusal::SessionUnknown);
    assert_eq!(bench.refused(ask("a", 1).session(1)), Refusal::SessionUnknown);
    touch(&mut bench, 1);
    assert!(!lives(&bench, 1), "a touch brought it back");
}

#[test]
fn an_id_is_opened_once_while_it_lives() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    let again = open(1, IDLE_MS);
    assert_eq!(bench.refused(again.clone()), Refusal::SessionExists);
    bench.outcome(close(1));
    assert_eq!(bench.outcome(again), Outcome::SessionOpened { session: session(1) });
}

#[test]
fn later_commands_of_the_entry_that_ends_a_session_see_it_gone() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.acquired(ask("a", 1).session(1));
    let applied = bench.batch(vec![close(1), acquire(ask("a", 2)), release("a", 1)]);
    assert!(matches!(applied.outcomes[1].1, Outcome::Acquired(_)));
    assert_eq!(applied.outcomes[2].1, Outcome::Refused(Refusal::WrongKey));
}

#[test]
fn a_waiter_of_an_ended_session_that_does_not_fit_keeps_nobody_out() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.acquired(ask("a", 1).size(2));
    bench.queued(ask("a", 2).size(7).session(1).wait_ms(50));
    bench.queued(ask("a", 3).size(2).lease_ms(50).wait_ms(50));
    bench.outcome(close(1));
    assert_eq!(bench.seen("a"), (2, 0));
}

#[test]
fn three_thousand_holds_are_swept_in_batches_but_free_at_once() {
    const HOLDS: u64 = 3_000;
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    let asks = (0..HOLDS).map(|n| acquire(ask(&format!("lock-{n}"), n).session(1)));
    bench.batch(asks.collect());
    let (_, events) = bench.run(close(1));
    let swept = events.iter().filter(|event| matches!(event, Event::HoldEnded { .. })).count() as u64;
    assert!((1..2_000).contains(&swept), "{swept} holds were swept in one entry");
    let free = (0..HOLDS).filter(|n| bench.seen(&format!("lock-{n}")) == (0, 0)).count() as u64;
    assert_eq!(free, HOLDS, "what is not swept yet is still shown");
    let applied = bench.batch((0..HOLDS).map(|n| acquire(ask(&format!("lock-{n}"), HOLDS + n))).collect());
    assert!(applied.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Acquired(_))));
    bench.settle();
    assert_eq!(bench.table.counts().holds, HOLDS);
}
