//! Elections under faults: an answer to "who leads?" can be relied on for as long as it says, by the clock of whoever
//! asked, and every observer sees the same changes in the same order.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::Speaker;
use super::wire::{API_KEY, Ask, Wire};
use crate::proof::random::{Random, rounds};
use crate::support::sse::Events;

const TARGET: &str = "/v1/elections/primary";
const ROUNDS: usize = 8;
/// With fewer changes of leader the run proves little.
const LEADERS_MIN: usize = 5;
const LEASE_SECONDS: f64 = 2.0;
const WITHIN: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(10);
/// Longer than a lease, so that a stopped node misses a change.
const STOPPED_FOR: Duration = Duration::from_millis(3_000);

/// One answer to "who leads?".
#[derive(Clone, Copy, Debug)]
struct Sight {
    token: u64,
    /// At this moment at the latest it was true.
    answered: Instant,
    /// Until then nobody else leads, says the answer.
    until: Instant,
}

#[test]
fn answer_about_a_leader_holds_as_long_as_it_says() {
    let _turn = turn();
    let mut random = Random::seeded("elections");
    let mut fleet = Fleet::start(SIZE);
    let addresses: Vec<SocketAddr> = fleet.ids().into_iter().map(|id| fleet.address(id)).collect();
    let (over, sights) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let mut first = Speaker::open(addresses[0]);
    let elected = campaign(&mut first, "first").expect("nobody else campaigns yet");
    let mut changes = follow(addresses[0], None);
    assert!(resign(&mut first, &elected));
    let start = changes.event().1;
    std::thread::scope(|scope| {
        for (number, address) in addresses.iter().enumerate() {
            let (random, over, sights) = (random.fork(), &over, &sights);
            scope.spawn(move || observe(*address, over, sights));
            scope.spawn(move || lead(*address, number, random, over));
        }
        for round in 0..rounds(ROUNDS) {
            disturb(&mut fleet, &mut random, round);
        }
        over.store(true, Ordering::Relaxed);
    });
    let sights = sights.into_inner().expect("no observer panics");
    let leaders = check(&sights);
    println!("{} answers about {} leaders", sights.len(), leaders.len());
    assert!(leaders.len() >= LEADERS_MIN, "too few changes of leader: {leaders:?}\n{}", fleet.told());
    fleet.wait_until_ready();
    same_changes(&addresses, &start, &leaders);
}

/// Kills or stops a node, the leader of the cluster more often than not.
fn disturb(fleet: &mut Fleet, random: &mut Random, round: usize) {
    let node = if random.below(3) == 0 { fleet.ids()[round % SIZE as usize] } else { fleet.leader() };
    if round.is_multiple_of(2) {
        fleet.node(node).kill();
        std::thread::sleep(Duration::from_millis(300));
        fleet.start_node(node);
    } else {
        fleet.node(node).signal(Signal::STOP);
        std::thread::sleep(STOPPED_FOR);
        fleet.node(node).signal(Signal::CONT);
    }
    fleet.wait_until_ready();
    std::thread::sleep(Duration::from_millis(500));
}

/// Campaigns again and again, and ends each leadership in another way.
fn lead(address: SocketAddr, number: usize, mut random: Random, over: &AtomicBool) {
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        turn += 1;
        let mut speaker = Speaker::open(address);
        let Some(elected) = campaign(&mut speaker, &format!("{number}-{turn}")) else {
            std::thread::sleep(PAUSE);
            continue;
        };
        std::thread::sleep(Duration::from_millis(random.next() % 400));
        // Or it crashes: its lease ends.
        if random.below(3) > 0 {
            resign(&mut speaker, &elected);
        }
    }
}

/// The answer, if it won.
fn campaign(speaker: &mut Speaker, value: &str) -> Option<Value> {
    let body = json!({"value": value, "lease_seconds": LEASE_SECONDS, "wait_timeout_seconds": 4});
    let answer = speaker.send(&Ask::post(TARGET, &body), WITHIN).ok()?;
    (answer.status == 200).then(|| answer.json()).filter(|answer| answer["elected"] == true)
}

fn resign(speaker: &mut Speaker, elected: &Value) -> bool {
    let target = format!("{TARGET}?key={}", elected["key"].as_str().expect("a key"));
    let ask = Ask { method: "DELETE", target: &target, headers: &[], body: None };
    speaker.send(&ask, WITHIN).is_ok_and(|answer| answer.status == 200)
}

fn observe(address: SocketAddr, over: &AtomicBool, sights: &Mutex<Vec<Sight>>) {
    let mut wire = Wire::new(address);
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let ask = Ask { method: "GET", target: TARGET, headers: &[], body: None };
        match wire.send(&ask, WITHIN) {
            Ok(answer) if answer.status == 200 => {
                let (answered, answer) = (Instant::now(), answer.json());
                let reliable = answer["reliable_for_seconds"].as_f64().expect("a time");
                let until = asked + Duration::from_secs_f64(reliable);
                let token = answer["fencing_token"].as_u64().expect("a token");
                sights.lock().expect("no observer panics").push(Sight { token, answered, until });
            }
            Ok(_) => {}
            Err(_) => wire.close(),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Nobody saw another leader while an answer was to be relied on. Gives the leaders that were seen.
fn check(sights: &[Sight]) -> Vec<u64> {
    let mut first_seen: BTreeMap<u64, Sight> = BTreeMap::new();
    let mut reliable: BTreeMap<u64, Sight> = BTreeMap::new();
    for sight in sights {
        let earliest = first_seen.entry(sight.token).or_insert(*sight);
        *earliest = if sight.answered < earliest.answered { *sight } else { *earliest };
        let longest = reliable.entry(sight.token).or_insert(*sight);
        *longest = if sight.until > longest.until { *sight } else { *longest };
    }
    for (token, sight) in &reliable {
        for (later, seen) in first_seen.range(token + 1..) {
            let overlap = sight.until.saturating_duration_since(seen.answered);
            assert!(
                overlap.is_zero(),
                "{later} led {overlap:?} before {token} was no longer to be relied on: {seen:?}, {sight:?}"
            );
        }
    }
    first_seen.into_keys().collect()
}

fn follow(address: SocketAddr, after: Option<&Value>) -> Events {
    let key = format!("X-API-Key: {API_KEY}");
    let after = after.map(|id| format!("Last-Event-ID: {}", id.as_str().expect("an id")));
    let headers: Vec<&str> = [Some(key.as_str()), after.as_deref()].into_iter().flatten().collect();
    let mut events = Events::open_tls(address, "/v1/events?election=primary", &headers);
    assert_eq!(events.status, 200);
    events.expect("started");
    events
}

/// Every node tells the same changes in the same order, and none of the leaders that were seen is missing.
fn same_changes(addresses: &[SocketAddr], start: &Value, leaders: &[u64]) {
    let mut last = Speaker::open(addresses[0]);
    let end = loop {
        if let Some(elected) = campaign(&mut last, "last") {
            break elected["fencing_token"].as_u64().expect("a token");
        }
    };
    let told: Vec<Vec<Value>> = addresses.iter().map(|address| changes(*address, start, end)).collect();
    assert!(told.iter().all(|of_node| *of_node == told[0]), "{told:?}");
    let elected = told[0].iter().filter(|event| event["event"] == "elected");
    let tokens: Vec<u64> = elected.map(|event| event["fencing_token"].as_u64().expect("a token")).collect();
    assert!(tokens.is_sorted(), "{tokens:?}");
    let missing: Vec<&u64> = leaders.iter().filter(|token| **token >= tokens[0] && !tokens.contains(token)).collect();
    assert!(missing.is_empty(), "{missing:?} led, and no event told it: {tokens:?}");
}

fn changes(address: SocketAddr, start: &Value, end: u64) -> Vec<Value> {
    let mut events = follow(address, Some(&start["id"]));
    let mut told = Vec::new();
    loop {
        let event = events.event().1;
        let is_last = event["event"] == "elected" && event["fencing_token"] == end;
        told.push(event);
        if is_last {
            return told;
        }
    }
}
