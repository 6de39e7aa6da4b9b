//! Members come and go under load, and a node that was alone becomes three.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::fleet::Fleet;
use super::metronome::{Heard, Metronome};
use super::run::judged;
use super::scenarios::{SIZE, turn};
use super::speaker::{Grant, Lock, Speaker};
use super::wire::{Ask, Wire};
use crate::proof::random::Random;

/// At most as long as a failover.
const GRANT_WITHIN: Duration = Duration::from_millis(1500);
const SEEN_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const STEADY: Duration = Duration::from_millis(800);
const LOCKS: usize = 40;

#[test]
fn cluster_grows_to_five_and_shrinks_without_long_waits() {
    let _turn = turn();
    let mut random = Random::seeded("membership");
    let mut fleet = Fleet::start(SIZE);
    let mut clients: Vec<Metronome> = Vec::new();
    let mut heard: Vec<Heard> = Vec::new();
    let report = judged("membership", &mut fleet, &mut random, |fleet, recorder| {
        for node in fleet.ids() {
            clients.push(Metronome::start(node, fleet.address(node), "free"));
        }
        for _ in 0..2 {
            std::thread::sleep(STEADY);
            let added = fleet.add();
            recorder.fault(format!("node {added} joins"));
            fleet.join(added);
            clients.push(Metronome::start(added, fleet.address(added), "free"));
        }
        assert_eq!(voters(fleet), 5);
        let (leader, follower) = (fleet.leader(), fleet.ids()[0]);
        let other = if follower == leader { fleet.ids()[1] } else { follower };
        for node in [other, leader] {
            std::thread::sleep(STEADY);
            // Who is taken out serves nobody: its clients go first.
            fleet.forget_address(node);
            let place = fleet.ids().iter().position(|id| *id == node).expect("it is there");
            heard.push(clients.remove(place).stop());
            recorder.fault(format!("node {node} leaves"));
            fleet.remove(node);
        }
        std::thread::sleep(STEADY);
        assert_eq!(voters(fleet), 3);
    });
    heard.extend(clients.into_iter().map(Metronome::stop));
    report.expect_clean(&fleet);
    let longest = heard.iter().map(|heard| (heard.longest(), heard.node, heard.beats.len())).max();
    println!("the longest wait for a grant, at which node, of how many there: {longest:?}");
    let longest = longest.expect("there were clients").0;
    assert!(longest <= GRANT_WITHIN, "{longest:?} for one grant\n{}", fleet.told());
}

/// A change that is sent to a follower without a known leader waits for the next leader, like every other command.
#[test]
fn membership_change_waits_for_election() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let leader = fleet.leader();
    let asked = fleet.others(leader)[0];
    fleet.node(leader).kill();
    while fleet.ask(asked, "/v1/cluster").is_none_or(|view| view["leader"] == leader) {
        std::thread::sleep(LOOK_AGAIN);
    }
    let path = format!("/v1/cluster/members/{asked}/promote");
    let answer = Wire::new(fleet.address(asked)).send(&Ask::post(&path, &Value::Null), GRANT_WITHIN * 4);
    let answer = answer.expect("an answer");
    // It has a vote already: refused as that, or answered as done where it was asked for more than once.
    assert!(matches!(answer.status, 200 | 409), "{} {}", answer.status, answer.text());
}

#[test]
fn isolated_node_shows_others_as_down() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let left = fleet.leader();
    let others = fleet.others(left);
    others.iter().for_each(|id| fleet.node(*id).kill());
    let deadline = Instant::now() + SEEN_WITHIN;
    loop {
        let view = fleet.ask(left, "/v1/cluster").expect("it answers without a quorum too");
        let up: Vec<u64> = view["members"]
            .as_array()
            .expect("members")
            .iter()
            .filter(|member| member["up"] == true)
            .filter_map(|member| member["node"].as_u64())
            .collect();
        if up == [left] {
            break;
        }
        assert!(Instant::now() < deadline, "{view}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn voters(fleet: &mut Fleet) -> usize {
    let leader = fleet.leader();
    let view = fleet.ask(leader, "/v1/cluster").expect("a leader shows its cluster");
    let members = view["members"].as_array().expect("it has members");
    members.iter().filter(|member| member["role"] != "learner").count()
}

#[test]
fn lone_node_grows_to_three_without_losing_locks() {
    let _turn = turn();
    let mut fleet = Fleet::start(1);
    let mut speaker = Speaker::open(fleet.address(1));
    let names: Vec<String> = (0..LOCKS).map(|number| format!("old-{number}")).collect();
    let held: Vec<Grant> = names.iter().map(|name| speaker.take(Lock::named(name).leased(3600.0))).collect();
    // It learns where its peers reach it.
    fleet.node(1).signal(rustix::process::Signal::TERM);
    assert!(fleet.node(1).wait().expect("it ran").success());
    fleet.open_to_peers(1);
    fleet.start_node(1);
    fleet.wait_until_ready();
    for _ in 0..2 {
        let added = fleet.add();
        fleet.join(added);
    }
    fleet.wait_until_ready();
    assert_eq!(voters(&mut fleet), 3);
    fleet.node(1).kill();
    for node in [2, 3] {
        let mut speaker = Speaker::with_session(fleet.address(node), speaker.session());
        for (name, grant) in names.iter().zip(&held) {
            assert_eq!(speaker.look(name).0, Some(grant.token), "{name} at node {node}");
        }
    }
    let mut speaker = Speaker::with_session(fleet.address(3), speaker.session());
    for (name, grant) in names.iter().zip(&held) {
        speaker.give_back(name, &grant.key);
    }
}
