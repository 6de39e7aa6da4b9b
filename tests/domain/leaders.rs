//! Who leads, and for how long that can be relied on: whatever becomes of the leader, nobody else is elected before.

use super::kit::*;
use latchd::domain::{
    Acquire, Command, Event, HoldKey, LeaderStart, LeaderView, Outcome, Refusal, Terms, Timestamp, Token,
};
use std::time::Duration;

const RELIABLE_MS: u64 = 300;

fn bench() -> Bench {
    with_reliable(RELIABLE_MS)
}

fn with_reliable(ms: u64) -> Bench {
    let mut bench = Bench::with_limits(|limits| limits.election_reliable_ms = ms);
    bench.open(1, 600_000);
    bench.open(2, 600_000);
    bench
}

fn candidate(number: u8) -> Acquire {
    let lead = |terms: &mut Terms| terms.value = Some(format!("candidate {number}").into());
    ask("primary", number.into()).ldlm(1).session(number).lease_ms(1_000).terms(lead)
}

/// What a reader is told by a table that lacks nothing.
fn told(bench: &Bench) -> Option<LeaderView> {
    let now = bench.table.now();
    bench.table.leader_view(&name("primary"), now, now)
}

fn elected(events: &[Event]) -> bool {
    events.iter().any(|event| matches!(event, Event::Granted { .. }))
}

#[test]
fn leader_is_shown_with_value_token_and_a_bounded_time() {
    let mut bench = bench();
    assert_eq!(told(&bench), None);
    let grant = bench.acquired(candidate(1));
    let leader =
        |ms| LeaderView { value: "candidate 1".into(), token: grant.token, reliable_for: Duration::from_millis(ms) };
    assert_eq!(told(&bench), Some(leader(RELIABLE_MS)), "no longer than the limit, whatever the lease");
    bench.pass_ms(900).tick();
    assert_eq!(told(&bench), Some(leader(100)), "no longer than the lease");
    bench.pass_ms(101);
    let now = Timestamp(bench.table.now().0 + 101);
    assert_eq!(bench.table.leader_view(&name("primary"), now, now), None, "its lease is over");
}

#[test]
fn session_that_ends_before_the_lease_bounds_the_time() {
    let mut bench = bench();
    bench.open(3, 50);
    bench.acquired(candidate(3));
    assert_eq!(told(&bench).map(|leader| leader.reliable_for), Some(Duration::from_millis(50)));
}

/// An entry that ends the hold may be stamped already when the reader asks, and be applied after that.
#[test]
fn entry_on_its_way_shortens_the_time() {
    let mut bench = bench();
    bench.acquired(candidate(1));
    let asked = |ago: u64| {
        let now = Timestamp(bench.table.now().0 + 500);
        bench.table.leader_view(&name("primary"), now, Timestamp(now.0 - ago)).expect("a leader").reliable_for
    };
    assert_eq!([asked(0), asked(100), asked(400)].map(|left| left.as_millis()), [300, 200, 0]);
}

#[test]
fn hold_without_a_value_leads_nothing() {
    let mut bench = bench();
    bench.acquired(ask("primary", 1).ldlm(1).session(1).lease_ms(1_000));
    assert_eq!(told(&bench), None);
    assert_eq!(bench.table.is_election(&name("primary"), key(1)), Some(false));
    assert_eq!(bench.table.is_election(&name("primary"), HoldKey([9; 16])), None);
}

#[test]
fn unconfirmed_and_orphaned_leaders_lead() {
    let mut bench = Bench::cluster();
    bench.open(1, 600_000);
    bench.acquired(ask("primary", 9).session(1));
    bench.queued(candidate(1).wait_ms(60_000).request(1));
    bench.outcome(release("primary", 9));
    let unconfirmed = told(&bench).expect("it leads before its node has confirmed that");
    bench.outcome(cancel("primary", 1));
    let orphaned = told(&bench).expect("it leads while a retry may come");
    assert_eq!(unconfirmed.token, orphaned.token);
}

type End = (&'static str, fn(&mut Bench));

const ENDS: [End; 9] = [
    ("a release", |bench| _ = bench.run(release("primary", 1))),
    ("force", |bench| _ = bench.run(force("primary", 1))),
    ("an answer that could not be delivered", |bench| _ = bench.run(cancel("primary", 1))),
    ("a closed session", |bench| _ = bench.run(close(1))),
    ("a renewal to the shortest lease", |bench| _ = bench.run(renew("primary", 1, 1))),
    ("two renewals to the shortest lease", |bench| {
        bench.run(renew("primary", 1, 1));
        bench.pass_ms(20).run(renew("primary", 1, 1));
    }),
    ("a short renewal, and a release", |bench| {
        bench.run(renew("primary", 1, 1));
        bench.run(release("primary", 1));
    }),
    ("another value, and a release", |bench| {
        bench.run(Command::SetValue { name: name("primary"), session: None, key: key(1), value: "moved".into() });
        bench.run(release("primary", 1));
    }),
    ("nothing", |_| {}),
];

/// A reader asks, the leader ends some time later, and another candidate waits.
fn check(reliable_ms: u64, asked_after: u64, ended_after: u64, keyed: bool, (how, end): End) {
    let mut bench = with_reliable(reliable_ms);
    let first = if keyed { candidate(1).request(1) } else { candidate(1) };
    bench.acquired(first);
    bench.queued(candidate(2).wait_ms(600_000));
    bench.pass_ms(asked_after).tick();
    let until = bench.table.now().after_ms(told(&bench).expect("a leader").reliable_for.as_millis() as u64);
    bench.pass_ms(ended_after);
    end(&mut bench);
    while bench.seen("primary").1 > 0 {
        if elected(&bench.pass_ms(10).tick()) {
            break;
        }
        assert!(bench.table.now() < Timestamp(700_000), "{how}: nobody is ever elected");
    }
    let case = format!("{how}, {reliable_ms} ms, asked after {asked_after} ms, ended {ended_after} ms later, {keyed}");
    assert!(until.is_past(bench.table.now()), "{case}: elected at {:?}, relied on until {until:?}", bench.table.now());
}

#[test]
fn nobody_else_is_elected_while_an_answer_can_be_relied_on() {
    for end in ENDS {
        for reliable_ms in [1, 300, 5_000, 60_000] {
            for (asked_after, ended_after) in [(0, 0), (0, 200), (500, 100), (900, 0), (900, 90)] {
                for keyed in [false, true] {
                    check(reliable_ms, asked_after, ended_after, keyed, end);
                }
            }
        }
    }
}

#[test]
fn long_lease_of_a_lost_request_is_relied_on() {
    let mut bench = with_reliable(60_000);
    bench.acquired(candidate(1).lease_ms(120_000).request(1));
    bench.queued(candidate(2).wait_ms(600_000));
    let until = bench.table.now().after_ms(told(&bench).expect("a leader").reliable_for.as_millis() as u64);
    bench.outcome(cancel("primary", 1));
    while !elected(&bench.pass_ms(100).tick()) {}
    assert!(until.is_past(bench.table.now()), "elected at {:?}, relied on until {until:?}", bench.table.now());
}

/// The limits of such a table are 0, and are not the reason that a candidate is told.
#[test]
fn table_of_an_older_level_has_no_elections() {
    let mut bench = Bench::started(LeaderStart { level: 6, ..start(RUN) });
    bench.open(1, 600_000);
    assert_eq!(bench.table.limits().check_acquire(&candidate(1)), Ok(()));
    assert!(matches!(bench.refused(candidate(1)), Refusal::NotYet { level: 7, .. }));
    assert_eq!(told(&bench), None);
}

#[test]
fn each_change_of_the_leader_is_an_event_with_its_value() {
    let mut bench = bench();
    let (outcome, events) = bench.run(candidate(1));
    assert!(matches!(outcome, Outcome::Acquired(_)));
    let value = |event: &Event| match event {
        Event::Granted { value, .. } => value.clone(),
        Event::ValueChanged { value, .. } => Some(value.clone()),
        _ => None,
    };
    assert_eq!(value(&events[0]).as_deref(), Some("candidate 1"));
    let moved = Command::SetValue { name: name("primary"), session: None, key: key(1), value: "moved".into() };
    let (_, events) = bench.run(moved);
    assert_eq!(events.iter().filter_map(value).collect::<Vec<_>>(), ["moved"]);
    let (_, events) = bench.run(release("primary", 1));
    assert!(
        matches!(events[..], [Event::HoldEnded { token: Token(FIRST_TOKEN), is_election: true, .. }]),
        "{events:?}"
    );
    let (_, events) = bench.run(ask("other", 5));
    assert_eq!(value(&events[0]), None);
    let (_, events) = bench.run(release("other", 5));
    assert!(matches!(events[..], [Event::HoldEnded { is_election: false, .. }]), "{events:?}");
}
