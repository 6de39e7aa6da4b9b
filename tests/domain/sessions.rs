//! Sessions: what keeps them alive, and what their end does to holds and waiters.

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
fn idle_session_ends_only_strictly_after_its_deadline() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.pass_ms(IDLE_MS).tick();
    assert!(lives(&bench, 1));
    let events = bench.pass_ms(1).tick();
    assert_eq!(events, [Event::SessionEnded { session: session(1), idle: true }]);
    assert!(!lives(&bench, 1));
}

#[test]
fn touch_restarts_the_idle_time_before_expiry() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.pass_ms(IDLE_MS + 1);
    touch(&mut bench, 1);
    assert!(lives(&bench, 1), "the entry that would have ended it touched it");
    bench.pass_ms(IDLE_MS).tick();
    assert!(lives(&bench, 1));
}

#[test]
fn every_command_of_a_session_touches_it() {
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
fn command_of_another_session_does_not_touch() {
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
fn no_session_ends_while_more_touches_follow() {
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
fn idle_time_restarts_when_the_wait_ends() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.acquired(ask("a", 1));
    bench.queued(ask("a", 2).session(1).wait_ms(5 * IDLE_MS));
    assert_eq!(bench.table.session_view(session(1)).expect("it lives").deadline, None);
    bench.pass_ms(5 * IDLE_MS).tick();
    assert!(lives(&bench, 1));
    bench.pass_ms(1).tick();
    let deadline = bench.table.session_view(session(1)).expect("the session lives").deadline;
    assert_eq!(deadline, Some(Timestamp(6 * IDLE_MS + 1)));
    bench.pass_ms(IDLE_MS + 1).tick();
    assert!(!lives(&bench, 1));
}

#[test]
fn session_with_a_remaining_wait_is_not_idle() {
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
fn end_of_session_ends_only_its_holds_and_waits() {
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
    assert!(events.contains(&Event::WaiterEnded { command: waiting, why: WaitEnd::SessionEnded, frozen: None }));
    assert!(events.iter().any(|event| matches!(event, Event::WaiterGranted { command, .. } if *command == next)));
    assert_eq!((bench.seen("a"), bench.seen("b")), ((1, 0), (1, 0)));
}

#[test]
fn ended_session_is_unknown() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.outcome(close(1));
    assert_eq!(bench.refused(close(1)), Refusal::SessionUnknown);
    assert_eq!(bench.refused(ask("a", 1).session(1)), Refusal::SessionUnknown);
    touch(&mut bench, 1);
    assert!(!lives(&bench, 1), "a touch brought it back");
}

#[test]
fn session_id_cannot_be_opened_twice() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    let again = open(1, IDLE_MS);
    assert_eq!(bench.refused(again.clone()), Refusal::SessionExists);
    bench.outcome(close(1));
    assert_eq!(bench.outcome(again), Outcome::SessionOpened { session: session(1) });
}

#[test]
fn later_commands_in_the_entry_see_the_session_gone() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.acquired(ask("a", 1).session(1));
    let applied = bench.batch(vec![close(1), acquire(ask("a", 2)), release("a", 1)]);
    assert!(matches!(applied.outcomes[1].1, Outcome::Acquired(_)));
    assert_eq!(applied.outcomes[2].1, Outcome::Refused(Refusal::WrongKey));
}

#[test]
fn ended_sessions_waiter_blocks_no_other_waiter() {
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    bench.acquired(ask("a", 1).size(2));
    bench.queued(ask("a", 2).size(7).session(1).wait_ms(50));
    bench.queued(ask("a", 3).size(2).lease_ms(50).wait_ms(50));
    bench.outcome(close(1));
    assert_eq!(bench.seen("a"), (2, 0));
}

#[test]
fn holds_of_ended_session_are_free_before_they_are_removed() {
    const HOLDS: u64 = 3_000;
    let mut bench = Bench::new();
    bench.open(1, IDLE_MS);
    let asks = (0..HOLDS).map(|n| acquire(ask(&format!("lock-{n}"), n).session(1)));
    bench.batch(asks.collect());
    let (_, events) = bench.run(close(1));
    let swept = events.iter().filter(|event| matches!(event, Event::HoldEnded { .. })).count() as u64;
    assert!((1..2_000).contains(&swept), "{swept} holds were swept in one entry");
    let free = (0..HOLDS).filter(|n| bench.seen(&format!("lock-{n}")) == (0, 0)).count() as u64;
    assert_eq!(free, HOLDS, "holds that are not removed yet are not shown");
    let applied = bench.batch((0..HOLDS).map(|n| acquire(ask(&format!("lock-{n}"), HOLDS + n))).collect());
    assert!(applied.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Acquired(_))));
    bench.expire_all();
    assert_eq!(bench.table.counts().holds, HOLDS);
}
