//! A removed node reports that it was removed, serves nothing, and can be added again with its data.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Grant, Lock, Speaker, session};
use super::wire::{Ask, Wire};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);
/// Beside what a request is refused after that waits for an outcome.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What a node answers to a probe, once it answers.
fn readiness(fleet: &Fleet, id: u64) -> (u16, String) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(answer) = Wire::new(fleet.address(id)).send(&Ask::get("/readyz"), PATIENCE) {
            return (answer.status, answer.text());
        }
        assert!(Instant::now() < deadline, "node {id} answers nothing:\n{}", fleet.told());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a probe of a node reports that it is no member.
fn says_so(fleet: &Fleet, id: u64, may_be_ready: bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, told) = readiness(fleet, id);
        if status == 503 && told.contains(&format!("node {id} is no member of its cluster any more")) {
            assert!(told.contains(&format!("`latchd members add {id} URL`")), "{told}");
            return;
        }
        assert!(may_be_ready || status == 503, "node {id} is ready");
        assert!(Instant::now() < deadline, "node {id} says {told}\n{}", fleet.told());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Every request is refused at once, and the cluster view shows why.
fn serves_nothing(fleet: &mut Fleet, id: u64, of_before: &Speaker) {
    let view = fleet.ask(id, "/v1/cluster").expect("it shows its cluster");
    assert_eq!((&view["standing"], &view["has_quorum"]), (&json!("removed"), &json!(false)), "{view}");
    assert!(view["standing_detail"].as_str().is_some_and(|detail| detail.contains("no member")), "{view}");
    let asked = Instant::now();
    let opened = session(fleet.address(id), None).expect("an answer");
    assert!(opened.status == 503 && opened.text().contains("no member"), "{} {}", opened.status, opened.text());
    let mut speaker = Speaker::with_session(fleet.address(id), of_before.session());
    for ask in [
        Ask::post("/v1/lock", &json!({"name": "x", "lock_timeout_seconds": 5})),
        Ask::post("/v1/renew", &json!({"name": "x", "key": "x", "lock_timeout_seconds": 5})),
        Ask::get("/v1/locks"),
        Ask::get("/v1/events"),
        Ask::post("/lock/x", &json!({})),
        Ask { method: "DELETE", ..Ask::get("/v1/cluster/members/1") },
    ] {
        let answer = speaker.ask(&ask);
        let told = answer.text();
        assert!(answer.status == 503 && told.contains("no member"), "{}: {} {told}", ask.target, answer.status);
    }
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    assert!(fleet.node(id).stderr().contains("is no member of its cluster any more"), "{}", fleet.told());
}

fn goes_and_comes_back(fleet: &mut Fleet, id: u64) {
    let stays = fleet.ids().into_iter().find(|other| *other != id).expect("there are three");
    let mut elsewhere = Speaker::open(fleet.address(stays));
    let wanted = format!("wanted-{id}");
    let held: Grant = elsewhere.take(Lock::named(&wanted).leased(3600.0));
    let mut waiter = Speaker::open(fleet.address(id));
    let of_before = Speaker::with_session(fleet.address(id), waiter.session());
    let waits = Lock::named(&wanted).leased(60.0).waiting(60.0);
    let answer = std::thread::scope(|scope| {
        let waiting = scope.spawn(move || waiter.lock(waits));
        elsewhere.sees_queue_of(&wanted, 1);
        fleet.expel(id);
        waiting.join().expect("it is answered")
    });
    // Whichever is first: that this node is none any more, or the entry that ends the waits of its requests.
    let told = answer.text();
    assert!(answer.status == 503 && ["no member", "nothing was taken"].iter().any(|why| told.contains(why)), "{told}");
    says_so(fleet, id, true);
    serves_nothing(fleet, id, &of_before);
    elsewhere.sees_queue_of(&wanted, 0);

    fleet.node(id).kill();
    fleet.start_node(id);
    says_so(fleet, id, false);
    serves_nothing(fleet, id, &of_before);

    fleet.join(id);
    fleet.wait_until_ready();
    let mut speaker = Speaker::with_session(fleet.address(id), elsewhere.session());
    assert_eq!(speaker.look(&wanted).0, Some(held.token), "it has what the others have");
    speaker.give_back(&wanted, &held.key);
    let mut fresh = Speaker::open(fleet.address(id));
    assert!(fresh.take(Lock::named(&wanted).leased(60.0)).token > held.token);
}

#[test]
fn removed_node_is_not_ready_and_rejoins_with_its_data() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let leader = fleet.leader();
    let follower = fleet.others(leader)[0];
    goes_and_comes_back(&mut fleet, follower);
    let leader = fleet.leader();
    goes_and_comes_back(&mut fleet, leader);
}

#[test]
fn node_with_data_of_other_cluster_is_refused_with_advice() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let added = fleet.add();
    // It begins alone, and so gets data that the others know nothing of.
    fleet.node(added).kill();
    let peers = fleet.node(added).arguments.iter().position(|argument| argument == "--peers").expect("it is given");
    let of_others = fleet.node(added).arguments[peers + 1].clone();
    fleet.node(added).arguments[peers + 1] = format!("{added}={}", fleet.peer_url(added));
    fleet.start_node(added);
    fleet.wait_until_ready();
    fleet.node(added).arguments[peers + 1] = of_others;
    let member = json!({"node": added, "address": fleet.peer_url(added)});
    let leader = fleet.leader();
    let answer = Wire::new(fleet.address(leader)).send(&Ask::post("/v1/cluster/members", &member), PATIENCE);
    let answer = answer.expect("an answer");
    let told = answer.text();
    assert!(answer.status == 409 && told.contains("move its data directory away"), "{} {told}", answer.status);
    assert!(told.contains(&format!("`latchd members add {added} {}`", fleet.peer_url(added))), "{told}");
}
