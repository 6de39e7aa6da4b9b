//! Lock delays: after an unclean end of a hold nobody is granted the lock for a while.

use super::kit::{Asking, Bench, RUN, ask, caller, cancel, close, force, key, name, release, start, upgrade};
use super::kit_modes::{LONG_MS, grants, transfer, wait, wait_ends};
use latchd::domain::{
    Acquire, Command, Event, Field, Incarnation, LeaderStart, Pool, Refusal, SHARED, ShareOf, Timestamp, Token, Usage,
    WaitEnd,
};

const DELAY_MS: u64 = 100;

fn delayed(ask: Acquire) -> Acquire {
    ask.terms(|terms| terms.lock_delay_ms = DELAY_MS)
}

/// The end and the token that a refused request is told.
fn refused_until(bench: &mut Bench, ask: Acquire) -> (Option<u64>, Token, u32) {
    let Refusal::Held(by) = bench.refused(ask) else { panic!("it is not delayed") };
    (by.deadline.map(|until| until.0), by.token, by.waiters)
}

#[test]
fn expired_hold_delays_the_next_grant() {
    let mut bench = Bench::new();
    let token = bench.acquired(delayed(ask("a", 1).lease_ms(10))).token;
    let waiting = bench.queued(wait("a", 2));
    bench.pass_ms(11).tick();
    assert_eq!(bench.seen("a"), (0, 1), "not yet");
    assert_eq!(refused_until(&mut bench, ask("a", 3)), (Some(111), token, 1));
    assert_eq!(refused_until(&mut bench, ask("a", 3).shared().priority(9)), (Some(111), token, 1));
    bench.restored();
    assert_eq!(grants(&bench.pass_ms(100).tick()), [], "the delay ends after its last millisecond");
    let events = bench.pass_ms(1).tick();
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), [waiting]);
    assert!(bench.is_held_by("a", &[2]));
    bench.restored();
}

#[test]
fn idle_session_delays_the_next_grant() {
    let mut bench = Bench::new();
    bench.open(1, 10);
    bench.acquired(delayed(ask("a", 1).session(1)));
    bench.queued(wait("a", 2));
    bench.pass_ms(11).tick();
    assert_eq!(bench.seen("a"), (0, 1));
    bench.pass_ms(101).tick();
    assert!(bench.is_held_by("a", &[2]));
}

#[test]
fn clean_end_delays_nothing() {
    let ends: [fn(&mut Bench); 4] = [
        |bench| _ = bench.outcome(release("a", 1)),
        |bench| _ = bench.outcome(close(1)),
        |bench| _ = bench.outcome(force("a", 1)),
        |bench| _ = bench.outcome(cancel("a", 1)),
    ];
    for end in ends {
        let mut bench = Bench::new();
        bench.open(1, LONG_MS);
        bench.acquired(delayed(ask("a", 1).session(1)));
        bench.queued(wait("a", 2));
        end(&mut bench);
        assert!(bench.is_held_by("a", &[2]));
        bench.outcome(release("a", 2));
        assert_eq!(bench.table.counts().locks, 0);
    }
}

#[test]
fn hold_of_a_dead_node_that_was_never_answered_delays_nothing() {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 9));
    bench.queued(delayed(wait("a", 1)));
    bench.outcome(release("a", 9));
    bench.lead_with(Incarnation(7));
    assert_eq!(bench.from(Incarnation(7)).seen("a"), (0, 0));
    bench.acquired(ask("a", 2));
}

#[test]
fn transferred_hold_keeps_its_delay_and_its_transfer_delays_nothing() {
    let mut bench = Bench::new();
    bench.open(1, LONG_MS);
    bench.acquired(delayed(ask("a", 1).lease_ms(10)));
    let token = bench.changed(transfer("a", 1, 1, 2)).token;
    bench.queued(wait("a", 3));
    bench.outcome(release("a", 2));
    assert!(bench.is_held_by("a", &[3]));
    bench.acquired(delayed(ask("b", 1).lease_ms(10)));
    let later = bench.changed(transfer("b", 1, 1, 2)).token;
    bench.pass_ms(11).tick();
    assert_eq!(refused_until(&mut bench, ask("b", 3)), (Some(111), later, 0));
    assert!(later > token);
}

#[test]
fn delayed_lock_is_forgotten_after_its_delay() {
    let mut bench = Bench::new();
    bench.acquired(delayed(ask("a", 1).lease_ms(10)));
    bench.pass_ms(11).tick();
    assert!(bench.table.lock_view(&name("a"), bench.table.now()).is_none_or(|view| view.holds.is_empty()));
    assert_eq!((bench.table.counts().locks, bench.table.next_deadline()), (1, Some(Timestamp(111))));
    assert_eq!(bench.refused(release("a", 1)), Refusal::WrongKey);
    let mut restored = bench.restored();
    for table in [&mut bench.table, &mut restored] {
        let body = latchd::domain::Body::Batch { touches: Vec::new(), more_touches: false, commands: Vec::new() };
        let epoch = table.epoch();
        table.apply(latchd::domain::Entry { at: Timestamp(112), epoch, body }).expect("its own epoch");
        assert_eq!((table.counts().locks, table.next_deadline()), (0, None));
    }
    bench.pass_ms(101).acquired(ask("a", 2));
}

#[test]
fn wait_may_end_during_a_delay() {
    let mut bench = Bench::new();
    bench.acquired(delayed(ask("a", 1).lease_ms(10)));
    bench.pass_ms(11).tick();
    let waiting = bench.queued(ask("a", 2).lease_ms(10).wait_ms(50));
    let events = bench.pass_ms(51).tick();
    assert_eq!(wait_ends(&events), [(waiting, WaitEnd::TimedOut)]);
    assert!(matches!(bench.refused(ask("a", 3)), Refusal::Held(_)), "the delay goes on");
    bench.restored();
}

#[test]
fn delay_of_one_holder_keeps_others_out_and_lets_them_be() {
    let mut bench = Bench::new();
    let first = bench.acquired(delayed(ask("a", 1).shared().lease_ms(10)));
    bench.acquired(ask("a", 2).shared());
    bench.pass_ms(11).tick();
    assert!(bench.is_held_by("a", &[2]));
    assert!(matches!(bench.refused(ask("a", 3).shared()), Refusal::Held(_)));
    let waiting = bench.queued(wait("a", 4).shared());
    bench.outcome(release("a", 2));
    assert_eq!(refused_until(&mut bench, ask("a", 3).shared()), (Some(111), first.token, 1));
    let events = bench.pass_ms(101).tick();
    assert_eq!(grants(&events).iter().map(|(command, _)| *command).collect::<Vec<_>>(), [waiting]);
}

#[test]
fn reader_is_not_upgraded_during_the_delay_of_another() {
    let mut bench = Bench::new();
    let first = bench.acquired(delayed(ask("a", 1).shared().lease_ms(10)));
    bench.acquired(ask("a", 2).shared());
    bench.pass_ms(11).tick();
    let Refusal::Held(by) = bench.refused(upgrade("a", 2, 7, None)) else { panic!("upgraded during a delay") };
    assert_eq!((by.deadline, by.token), (Some(Timestamp(111)), first.token), "the other may still read");
    let waiting = bench.queued(upgrade("a", 2, 7, Some(LONG_MS)));
    bench.queued(wait("a", 3).shared());
    bench.outcome(cancel("a", 3));
    assert_eq!(grants(&bench.pass_ms(100).tick()), []);
    let events = bench.pass_ms(1).tick();
    assert_eq!(
        grants(&events).iter().map(|(command, grant)| (*command, grant.key)).collect::<Vec<_>>(),
        [(waiting, key(2))]
    );
    assert_eq!(bench.table.lock_view(&name("a"), bench.table.now()).map(|view| view.size), Some(1));
}

#[test]
fn longer_delay_wins_over_a_later_shorter_one() {
    let mut bench = Bench::new();
    let long = |ask: Acquire| ask.terms(|terms| terms.lock_delay_ms = 500);
    let first = bench.acquired(long(ask("a", 1).size(2).lease_ms(10)));
    bench.acquired(delayed(ask("a", 2).size(2).lease_ms(20)));
    bench.pass_ms(11).tick();
    bench.pass_ms(10).tick();
    assert_eq!(refused_until(&mut bench, ask("a", 3).size(2)), (Some(511), first.token, 0));
    let mut bench = Bench::new();
    bench.acquired(delayed(ask("a", 1).size(2).lease_ms(10)));
    let second = bench.acquired(long(ask("a", 2).size(2).lease_ms(20)));
    bench.pass_ms(21).tick();
    assert_eq!(refused_until(&mut bench, ask("a", 3).size(2)), (Some(521), second.token, 0));
    bench.restored();
    bench.pass_ms(501).acquired(ask("a", 3));
}

#[test]
fn hold_of_several_names_delays_each() {
    let mut bench = Bench::new();
    bench.acquired(delayed(ask("a", 1).names(&[("a", 1), ("b", SHARED)]).lease_ms(10)));
    bench.queued(wait("a", 2).names(&[("a", 1), ("b", 1), ("c", 1)]));
    bench.pass_ms(11).tick();
    assert!(matches!(bench.refused(ask("b", 3).shared()), Refusal::Held(_)));
    assert_eq!((bench.seen("a"), bench.seen("b"), bench.seen("c")), ((0, 1), (0, 1), (0, 1)));
    bench.restored();
    let events: Vec<Event> = bench.pass_ms(101).expire_all();
    assert_eq!(grants(&events).len(), 1);
    assert!(["a", "b", "c"].iter().all(|lock| bench.is_held_by(lock, &[2])));
}

#[test]
fn delay_above_the_limit_is_refused() {
    let mut bench = Bench::with_limits(|limits| limits.lock_delay_ms_max = DELAY_MS - 1);
    let too_long = Refusal::LimitExceeded { field: Field::LockDelay, limit: DELAY_MS - 1 };
    assert_eq!(bench.refused(delayed(ask("a", 1).lease_ms(10))), too_long);
    assert_eq!(bench.table.counts().locks, 0);
}

#[test]
fn delayed_lock_counts_as_a_hold_of_whoever_had_it() {
    let mut bench = Bench::with_limits(|limits| (limits.holds_max, limits.credential_share) = (20, 400));
    for number in 0..8 {
        bench.acquired(delayed(ask(&format!("delayed-{number}"), number).lease_ms(10)).by(caller(1, 0)));
    }
    bench.pass_ms(11).tick();
    let share = Refusal::ShareFull { pool: Pool::Holds, whose: ShareOf::Credential, limit: 8 };
    assert_eq!(bench.refused(ask("another", 20).by(caller(1, 0))), share);
    for number in 30..42 {
        bench.acquired(ask(&format!("lock-{number}"), number).by(caller(number, 0)));
    }
    assert_eq!(bench.refused(ask("another", 50).by(caller(50, 0))), Refusal::HoldsFull { limit: 20 });
    bench.restored();
    bench.pass_ms(DELAY_MS + 1).tick();
    assert_eq!(bench.table.usages().all.holds, 12, "the delays are over");
    bench.acquired(ask("another", 20).by(caller(1, 0)));
    bench.restored();
}

#[test]
fn delay_that_replaces_a_shorter_one_counts_for_its_own_holder() {
    let mut bench = Bench::new();
    bench.acquired(delayed(ask("a", 1).shared().lease_ms(10)).by(caller(1, 0)));
    bench.acquired(delayed(ask("a", 2).shared().lease_ms(20)).by(caller(2, 0)));
    bench.pass_ms(11).tick();
    bench.pass_ms(11).tick();
    assert_eq!((bench.seen("a"), bench.table.usages().all.holds), ((0, 0), 1));
    bench.restored();
    bench.pass_ms(DELAY_MS + 1).tick();
    assert_eq!(bench.table.usages().all.holds, 0);
}

#[test]
fn delayed_lock_below_level_9_counts_for_nobody() {
    let mut bench = Bench::started(LeaderStart { level: 8, ..start(RUN) });
    bench.acquired(delayed(ask("a", 1).lease_ms(10)).by(caller(1, 0)));
    bench.pass_ms(11).tick();
    assert_eq!(bench.table.usages().all.holds, 0);
    bench.restored();
    bench.outcome(Command::RaiseLevel { level: 9, limits: None, quotas: None });
    bench.restored();
    bench.pass_ms(DELAY_MS).tick();
    assert_eq!(bench.table.usages().all, Usage::default());
}
