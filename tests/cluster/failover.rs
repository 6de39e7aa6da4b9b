//! The leader is killed again and again: how long until the next grant, and whether every promise is kept.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::history::Recorder;
use super::run::judged;
use super::scenarios::{SIZE, turn};
use super::speaker::{Grant, Lock, Speaker, granted};
use crate::proof::random::{Random, rounds};

const KILLS: usize = 50;
/// What the documents promise.
const NEXT_GRANT_WITHIN: Duration = Duration::from_millis(1500);
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Of the request of a client that waits in a queue.
const WAIT_SECONDS: f64 = 30.0;
const AGAIN_AFTER: Duration = Duration::from_millis(5);

/// Sixteen clients go on through all nodes meanwhile, and their history is judged.
#[test]
fn grant_follows_each_leader_kill_within_1500_ms() {
    let _turn = turn();
    let mut random = Random::seeded("failover");
    let mut fleet = Fleet::start(SIZE);
    let mut times = Vec::new();
    let report = judged("failover", &mut fleet, &mut random, |fleet, recorder| {
        times.extend((0..rounds(KILLS)).map(|round| one_kill(fleet, recorder, round)));
    });
    report.expect_clean(&fleet);
    times.sort();
    let (middle, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{} kills: next grant after {middle:?} in the middle, {last:?} at most; all: {times:?}", times.len());
    assert!(last <= NEXT_GRANT_WITHIN, "{last:?} until the next grant:\n{}", fleet.told());
}

/// Kills the leader; the longer of the times until each of the others grants a lock that was asked for afterwards.
fn one_kill(fleet: &mut Fleet, recorder: &Recorder, round: usize) -> Duration {
    let leader = fleet.leader();
    let survivors = fleet.others(leader);
    let at: Vec<_> = survivors.iter().map(|id| fleet.address(*id)).collect();
    let (held, free) = (format!("kept-{round}"), format!("next-{round}"));
    let mut holder = Speaker::open(fleet.address(leader));
    let kept = holder.take(Lock::named(&held).leased(3600.0));
    let mut queue: Vec<Speaker> = at.iter().map(|at| Speaker::open(*at)).collect();
    let mut probes: Vec<Speaker> = at.iter().map(|at| Speaker::open(*at)).collect();
    let mut holder = Speaker::with_session(at[0], holder.session());
    std::thread::scope(|scope| {
        let mut waiting = Vec::new();
        for (place, speaker) in queue.iter_mut().enumerate() {
            waiting.push(scope.spawn(|| wait_for(speaker, &held)));
            holder.sees_queue_of(&held, place as u64 + 1);
        }
        recorder.fault(format!("kill -9 of node {leader}, which leads"));
        let killed = Instant::now();
        fleet.node(leader).kill();
        let asked: Vec<_> = probes
            .iter_mut()
            .zip(&survivors)
            .map(|(probe, node)| (probe, format!("{free}-{node}")))
            .map(|(probe, name)| scope.spawn(move || first_grant(probe, &name, killed)))
            .collect();
        let took = asked.into_iter().map(|asked| asked.join().expect("a probe is granted a lock")).max();
        fleet.start_node(leader);
        assert_eq!(holder.look(&held), (Some(kept.token), waiting.len() as u64), "the hold of before, in {held}");
        holder.give_back(&held, &kept.key);
        let mut last = kept.token;
        for waiting in waiting {
            let (grant, speaker) = waiting.join().expect("a waiter is granted the lock by itself");
            assert!(grant.token > last, "{held}: token {} after {last}", grant.token);
            last = grant.token;
            speaker.give_back(&held, &grant.key);
        }
        is_ready_again(fleet, leader);
        recorder.fault("repaired");
        took.expect("there are survivors")
    })
}

/// One request, sent once: its place must survive the leader.
fn wait_for<'a>(speaker: &'a mut Speaker, name: &str) -> (Grant, &'a mut Speaker) {
    let answer = speaker.lock(Lock::named(name).leased(3600.0).waiting(WAIT_SECONDS));
    let grant = granted(&answer).unwrap_or_else(|told| panic!("the wait for {name} ended with {told}"));
    (grant, speaker)
}

/// Asks as any client does, again where it was refused, until the lock is granted; since when that took.
fn first_grant(probe: &mut Speaker, name: &str, since: Instant) -> Duration {
    loop {
        let answer = probe.lock(Lock::named(name).leased(60.0).keyed(name));
        match granted(&answer) {
            Ok(_) => return since.elapsed(),
            Err(told) => assert!(since.elapsed() < READY_WITHIN, "{name} is answered {told}"),
        }
        std::thread::sleep(AGAIN_AFTER);
    }
}

fn is_ready_again(fleet: &mut Fleet, node: u64) {
    let deadline = Instant::now() + READY_WITHIN;
    while fleet.ask(node, "/readyz").is_none() {
        assert!(fleet.node(node).is_running() && Instant::now() < deadline, "node {node}:\n{}", fleet.told());
        std::thread::sleep(AGAIN_AFTER);
    }
}
