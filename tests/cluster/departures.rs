//! Nodes that leave: by SIGTERM under load, and by a kill while requests wait for locks.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fleet::Fleet;
use super::metronome::{Heard, Metronome, longest_gap};
use super::scenarios::{SIZE, turn};
use super::speaker::{Grant, Lock, Speaker, granted};

/// What the documents promise.
const GAP_AT_MOST: Duration = Duration::from_secs(1);
const WITH_THE_DEAD_AT_MOST: Duration = Duration::from_secs(3);
/// Load before and after a departure.
const STEADY: Duration = Duration::from_millis(1500);
const CLIENTS_PER_NODE: usize = 6;
const ROUNDS: usize = 3;

#[test]
fn stopping_leader_transfers_leadership_without_failed_requests() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let mut gaps = Vec::new();
    for round in 0..ROUNDS {
        let leader = fleet.leader();
        let heard = leave_under_load(&mut fleet, leader, round);
        for heard in &heard {
            assert!(
                heard.failed.is_empty(),
                "node {}, leader {leader}: {:?}\n{}",
                heard.node,
                heard.failed,
                fleet.told()
            );
            assert!(heard.node == leader || heard.turned_away.is_empty(), "{:?}", heard.turned_away);
        }
        gaps.push((longest_gap(&heard), heard.iter().filter(|heard| heard.node != leader).map(Heard::longest).max()));
        fleet.start_node(leader);
        fleet.wait_until_ready();
    }
    println!("SIGTERM to the leader: no grant anywhere for, and the longest wait of one request: {gaps:?}");
    for (gap, longest) in gaps {
        assert!(gap < GAP_AT_MOST && longest.is_some_and(|longest| longest < GAP_AT_MOST), "{gap:?}, {longest:?}");
    }
}

fn leave_under_load(fleet: &mut Fleet, leader: u64, round: usize) -> Vec<Heard> {
    let all = fleet.addresses.all();
    let clients: Vec<Metronome> = (0..CLIENTS_PER_NODE)
        .flat_map(|client| all.iter().map(move |(node, at)| (client, *node, *at)))
        .map(|(client, node, at)| Metronome::start(node, at, &format!("free-{round}-{client}")))
        .collect();
    std::thread::sleep(STEADY);
    fleet.node(leader).signal(Signal::TERM);
    let status = fleet.node(leader).wait().expect("it ran");
    assert!(status.success(), "SIGTERM ends the leader with {status}:\n{}", fleet.told());
    std::thread::sleep(STEADY);
    clients.into_iter().map(Metronome::stop).collect()
}

/// The lock is given to the dead node's waiter, because nobody knows yet, and then to the next.
#[test]
fn dead_nodes_waiter_blocks_lock_three_seconds_at_most() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    for (round, signal) in [Signal::KILL, Signal::STOP, Signal::KILL].into_iter().enumerate() {
        let leader = fleet.leader();
        // In the last round the leader itself is the one.
        let lost = if round == 2 { leader } else { fleet.others(leader)[0] };
        let took = lose(&mut fleet, lost, signal, &format!("wanted-{round}"));
        println!("{signal:?} of node {lost}, leader {leader}: the next waiter has the lock after {took:?}");
        assert!(took <= WITH_THE_DEAD_AT_MOST, "{took:?}\n{}", fleet.told());
        match signal {
            Signal::STOP => fleet.node(lost).signal(Signal::CONT),
            _ => {
                fleet.node(lost).wait();
                fleet.start_node(lost);
            }
        }
        fleet.wait_until_ready();
    }
}

/// From the release of a lock whose first waiter's node was just lost until the second waiter has it.
fn lose(fleet: &mut Fleet, lost: u64, signal: Signal, name: &str) -> Duration {
    let stays = fleet.ids().into_iter().find(|id| *id != lost).expect("there are three");
    let mut holder = Speaker::open(fleet.address(stays));
    let (mut first, mut second) = (Speaker::open(fleet.address(lost)), Speaker::open(fleet.address(stays)));
    let held = holder.take(Lock::named(name).leased(3600.0));
    let waits = Lock::named(name).leased(3600.0).waiting(20.0);
    std::thread::scope(|scope| {
        // Its answer is of no interest: it is lost, or says that the wait has ended.
        let gone = scope.spawn(move || first.try_lock(waits, Duration::from_secs(25)));
        holder.sees_queue_of(name, 1);
        let next = scope.spawn(move || second.lock(waits));
        holder.sees_queue_of(name, 2);
        fleet.node(lost).signal(signal);
        let lost_at = Instant::now();
        holder.give_back(name, &held.key);
        let grant = granted(&next.join().expect("it is answered")).unwrap_or_else(|told| panic!("{name}: {told}"));
        let took = lost_at.elapsed();
        assert_eq!(holder.look(name), (Some(grant.token), 0), "only the second waiter has {name}");
        if signal == Signal::STOP {
            fleet.node(lost).signal(Signal::CONT);
        }
        expect_no_grant(gone.join().expect("it does not panic").ok().map(|answer| granted(&answer)), name);
        took
    })
}

fn expect_no_grant(answer: Option<Result<Grant, String>>, name: &str) {
    assert!(!matches!(answer, Some(Ok(_))), "{name} was granted through a node that was declared down: {answer:?}");
}
