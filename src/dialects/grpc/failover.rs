//! The leader goes, by `kill -9` and by SIGTERM, again and again: how long nobody grants, and what waits meanwhile.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::checks;
use super::client::{Client, Wanted};
use super::fleet::Fleet;
use super::history::{Answer, Recorder};
use super::scenarios::turn;
use crate::proof::random::{Random, rounds};
use crate::support::certificate::scratch_directory;

const KILLS_IN_CI: usize = 50;
/// From the kill until a survivor has given a new lock.
const GRANT_WITHIN: Duration = Duration::from_millis(1500);
/// From SIGTERM until a survivor has given a new lock.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(1);
const WHOLE_RUN_MS: u64 = 36_000_000;

fn wanted(wait_ms: Option<u64>, keyed: bool) -> Wanted {
    Wanted { lease_ms: WHOLE_RUN_MS, wait_ms, keyed, patience: Duration::from_secs(30) }
}

fn recorder(name: &str) -> (Recorder, std::path::PathBuf) {
    let folder = scratch_directory().join("histories");
    std::fs::create_dir_all(&folder).expect("a folder for histories can be made");
    let path = folder.join(format!("{name}-{}.jsonl", std::process::id()));
    (Recorder::new(&path), path)
}

#[test]
fn each_kill_of_the_leader_has_the_next_grant_within_a_second_and_a_half() {
    let _turn = turn();
    let mut random = Random::seeded("failover");
    let mut fleet = Fleet::start(3);
    let (recorder, path) = recorder("failover");
    let mut gaps = Vec::new();
    for round in 0..rounds(KILLS_IN_CI) {
        let leader = fleet.leader();
        let survivors: Vec<u64> = fleet.ids().into_iter().filter(|id| *id != leader).collect();
        let mut client = Client::new(round as u64, &fleet.addresses, &recorder, random.fork());
        let survivor = survivors[random.below(survivors.len())];
        client.move_to(survivor, fleet.address(survivor));
        // With its session and connection, so that the time is that of the cluster.
        let held = client.acquire(&format!("lin-held-{round}"), wanted(None, true), recorder.number());
        let held = held.expect("the cluster serves");
        let killed = Instant::now();
        fleet.node(leader).kill();
        let next = loop {
            client.move_to(survivor, fleet.address(survivor));
            let name = format!("lin-next-{round}");
            if let Some(hold) = client.acquire(&name, wanted(None, true), recorder.number()) {
                break hold;
            }
            assert!(killed.elapsed() < Duration::from_secs(30), "round {round}: nobody grants\n{}", fleet.told());
        };
        gaps.push(killed.elapsed());
        assert!(next.token > held.token, "round {round}: {} after {}", next.token, held.token);
        assert_eq!(client.read(&held.name).map(|seen| seen.0), Some(Some(held.token)), "round {round}");
        client.release(&held);
        client.abandon();
        fleet.start_node(leader);
        fleet.wait_until_ready();
    }
    gaps.sort();
    println!("{} kills: median {:?}, longest {:?}", gaps.len(), gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    let late: Vec<&Duration> = gaps.iter().filter(|gap| **gap > GRANT_WITHIN).collect();
    assert!(late.is_empty(), "beyond {GRANT_WITHIN:?}: {late:?}; the history is {}", path.display());
    let (history, complaints) = recorder.finish();
    assert_eq!((complaints, checks::all(&history)), (Vec::new(), Vec::new()), "the history is {}", path.display());
}

/// Three wait through one survivor when the leader is killed; they get the lock in the order in which they came,
/// with the requests that they had sent before.
#[test]
fn who_waits_through_a_survivor_keeps_the_place_when_the_leader_is_killed() {
    let _turn = turn();
    let mut random = Random::seeded("waiting through a failover");
    let mut fleet = Fleet::start(3);
    let (recorder, path) = recorder("waiting");
    let leader = fleet.leader();
    let survivor = fleet.ids().into_iter().find(|id| *id != leader).expect("three nodes");
    let at = fleet.address(survivor);
    let mut holder = Client::new(0, &fleet.addresses, &recorder, random.fork());
    holder.move_to(survivor, at);
    let hold = holder.acquire("fifo-kept", wanted(None, true), recorder.number()).expect("the cluster serves");
    std::thread::scope(|scope| {
        for place in 1..=3 {
            let mut client = Client::new(place, &fleet.addresses, &recorder, random.fork());
            client.move_to(survivor, at);
            let (recorder, id) = (&recorder, recorder.number());
            scope.spawn(move || {
                if let Some(hold) = client.acquire("fifo-kept", wanted(Some(25_000), false), id) {
                    client.release(&hold);
                }
            });
            while holder.read("fifo-kept").is_none_or(|(_, waiters)| waiters < place) {
                std::thread::sleep(Duration::from_millis(5));
            }
            recorder.queued(id, recorder.now());
        }
        fleet.node(leader).kill();
        holder.move_to(survivor, at);
        holder.release(&hold);
    });
    let (history, mut complaints) = recorder.finish();
    complaints.extend(checks::all(&history));
    assert_eq!(complaints, Vec::<String>::new(), "the history is {}", path.display());
    let granted = history.ops.iter().filter(|op| op.granted().is_some()).count();
    assert_eq!(granted, 4, "each gets the lock by the request it had sent; the history is {}", path.display());
}

/// SIGTERM hands the leadership over: no request through a survivor fails, and none takes as long as an election.
#[test]
fn no_request_fails_when_the_leader_is_stopped_with_sigterm() {
    let _turn = turn();
    let mut random = Random::seeded("hand-over");
    let mut fleet = Fleet::start(3);
    let (recorder, path) = recorder("hand-over");
    for round in 0..3 {
        let leader = fleet.leader();
        let survivors: Vec<u64> = fleet.ids().into_iter().filter(|id| *id != leader).collect();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let survivor = survivors[number % survivors.len()];
                let mut client = Client::new(number as u64, &fleet.addresses, &recorder, random.fork());
                client.move_to(survivor, fleet.address(survivor));
                let (stop, recorder) = (&stop, &recorder);
                scope.spawn(move || {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let name = format!("handed-{round}-{number}");
                        if let Some(hold) = client.acquire(&name, wanted(None, false), recorder.number()) {
                            client.release(&hold);
                        }
                    }
                    client.abandon();
                });
            }
            std::thread::sleep(Duration::from_millis(500));
            fleet.node(leader).signal(Signal::TERM);
            let status = fleet.node(leader).wait();
            std::thread::sleep(Duration::from_millis(500));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", fleet.told());
        });
        fleet.start_node(leader);
        fleet.wait_until_ready();
    }
    let (history, complaints) = recorder.finish();
    assert_eq!(complaints, Vec::<String>::new(), "the history is {}", path.display());
    let failed = history.ops.iter().filter(|op| matches!(op.answer, Answer::Refused(_) | Answer::Unknown(_)));
    let failed: Vec<String> = failed.map(|op| format!("{op:?}")).collect();
    assert!(failed.is_empty(), "the history is {}:\n{}", path.display(), failed.join("\n"));
    let longest = history.ops.iter().map(|op| op.end - op.call).max().expect("there were requests");
    println!("hand-over: {} requests, the longest took {:?}", history.ops.len(), Duration::from_nanos(longest));
    assert!(Duration::from_nanos(longest) < HANDED_OVER_WITHIN, "the history is {}", path.display());
}
