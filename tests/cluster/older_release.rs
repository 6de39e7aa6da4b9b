//! `make test-older OLDER=FILE`: three nodes go from the release before to this one, one after another, and serve all the
//! time. What only this release can do begins when no older node is left.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Lock, Speaker, body};
use super::wire::Ask;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the older release does not know.
const NEW: [(&str, &str, &str); 4] = [
    ("POST", "/v1/lock", r#"{"name": "index", "mode": "shared", "wait_timeout_seconds": 1}"#),
    ("POST", "/v1/lock", r#"{"names": ["a", "b"], "lock_timeout_seconds": 30}"#),
    ("POST", "/v1/elections/primary", r#"{"value": "here", "lease_seconds": 5, "wait_timeout_seconds": 5}"#),
    ("POST", "/v1/fence", r#"{"resource": "disk", "token": 1}"#),
];

#[test]
#[ignore = "needs the program of an older release: make test-older OLDER=FILE"]
fn older_nodes_beside_newer_ones_serve_until_all_are_replaced() {
    let older = PathBuf::from(std::env::var_os("OLDER").expect("OLDER names the program of an older release"));
    let _turn = turn();
    let mut fleet = Fleet::prepare(SIZE, "");
    for node in &mut fleet.nodes {
        node.program = Some(older.clone());
    }
    fleet.launch();
    let before = level(&fleet, 1);
    let mut holder = Speaker::open(fleet.address(1));
    let kept = holder.take(Lock::named("kept").leased(600.0));
    for id in fleet.ids() {
        every_node_serves(&fleet, kept.token);
        let lacking = replace(&mut fleet, id);
        every_node_serves(&fleet, kept.token);
        for newer in 1..=id {
            every_new_request_is_too_early(&mut Speaker::open(fleet.address(newer)), &lacking);
        }
    }
    let after = reached(&fleet, before);
    println!("feature level {before} became {after}");
    for id in fleet.ids() {
        every_new_request_is_carried_out(&mut Speaker::open(fleet.address(id)));
    }
    Speaker::with_session(fleet.address(2), holder.session()).give_back("kept", &kept.key);
    older_program_refuses_newer_data(&mut fleet, older);
}

/// Starts this release in the place of a node. Gives the nodes that are still older.
fn replace(fleet: &mut Fleet, id: u64) -> Vec<u64> {
    fleet.node(id).signal(rustix::process::Signal::TERM);
    fleet.node(id).wait();
    fleet.node(id).program = None;
    fleet.start_node(id);
    fleet.wait_until_ready();
    let older = fleet.nodes.iter().filter(|node| node.program.is_some());
    older.map(|node| node.id).collect()
}

/// Locks of the older release work at every node, whichever leads, and the hold from before is there.
fn every_node_serves(fleet: &Fleet, kept: u64) {
    for id in fleet.ids() {
        let mut speaker = Speaker::open(fleet.address(id));
        let grant = speaker.take(Lock::named("plain").leased(30.0).waiting(5.0));
        speaker.give_back("plain", &grant.key);
        assert_eq!(speaker.look("kept").0, Some(kept), "node {id}");
    }
}

fn every_new_request_is_too_early(speaker: &mut Speaker, lacking: &[u64]) {
    if lacking.is_empty() {
        return;
    }
    for (method, target, text) in NEW {
        let told = send(speaker, method, target, text).to_string();
        let is_named = lacking.iter().any(|node| told.contains(&format!("node {node} lacks")));
        assert!(told.contains("feature level") && is_named, "{target} beside nodes {lacking:?}: {told}");
    }
    assert_eq!(speaker.look("index"), (None, 0), "nothing was changed");
}

fn every_new_request_is_carried_out(speaker: &mut Speaker) {
    let token = speaker.take(Lock::named("token").leased(30.0));
    speaker.give_back("token", &token.key);
    for (method, target, text) in NEW {
        let text = text.replace("\"token\": 1", &format!("\"token\": {}", token.token));
        let answer = send(speaker, method, target, &text);
        let is_done = ["locked", "elected", "accepted"].iter().any(|field| answer[field] == json!(true));
        assert!(is_done, "{target}: {answer}");
    }
    speaker.ask(&Ask { method: "DELETE", target: "/session", headers: &[], body: None });
}

fn send(speaker: &mut Speaker, method: &str, target: &str, text: &str) -> Value {
    let sent = serde_json::from_str(text).expect("JSON");
    body(&speaker.ask(&Ask { method, target, headers: &[], body: Some(&sent) }))
}

fn level(fleet: &Fleet, id: u64) -> u64 {
    let view = fleet.ask(id, "/v1/cluster").expect("the node serves");
    view["feature_level"].as_u64().unwrap_or_else(|| panic!("no level in {view}"))
}

/// Waits until every node tells a higher level than `before`.
fn reached(fleet: &Fleet, before: u64) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lowest = fleet.ids().into_iter().map(|id| level(fleet, id)).min().expect("there are nodes");
        if lowest > before {
            return lowest;
        }
        assert!(Instant::now() < deadline, "the level stays at {before}\n{}", fleet.told());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// It ends, and says why, instead of reading what it does not understand.
fn older_program_refuses_newer_data(fleet: &mut Fleet, older: PathBuf) {
    fleet.node(3).kill();
    fleet.node(3).program = Some(older);
    fleet.start_node(3);
    let status = fleet.node(3).wait().expect("it has run");
    let told = fleet.node(3).stderr();
    let last = told.rsplit("--- started again ---\n").next().unwrap_or_default();
    println!("the older program on newer data ends with {status}:\n{last}");
    assert!(!status.success() && last.contains("newer"), "{last}");
}
