//! `/metrics` of a cluster: each node shows its own part, whatever the state of the others.

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Lock, Speaker};
use super::wire::{Ask, Wire};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// So long after its last heartbeat, a leader that hangs is still taken for one. Whoever asks it waits for 500 ms.
const AT_ONCE: Duration = Duration::from_millis(150);

/// One of each kind that operators of a cluster look at.
const SHOWN: [&str; 13] = [
    "latchd_leader ",
    "latchd_term ",
    "latchd_has_quorum ",
    "latchd_node_state{state=\"member\"} 1",
    "latchd_members 3",
    "latchd_feature_level ",
    "latchd_log_applied_index ",
    "latchd_elections_total ",
    "latchd_forwarded_commands_total ",
    "latchd_entry_commands_bucket{",
    "latchd_entry_commands_count ",
    "latchd_commit_seconds_bucket{",
    "latchd_log_flush_seconds_bucket{",
];

fn scrape(at: SocketAddr) -> String {
    let answer = Wire::new(at).send(&Ask::get("/metrics"), PATIENCE).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

fn value(text: &str, line: &str) -> u64 {
    let found = text.lines().find_map(|shown| shown.strip_prefix(line)).unwrap_or_else(|| panic!("{line} in {text}"));
    found.trim().parse().expect("a whole number")
}

/// Takes a lock through each node and scrapes it; what is wrong until all are members and agree about the leader.
fn disagreement(fleet: &Fleet, round: usize) -> Option<String> {
    let mut leaders = 0;
    for id in fleet.ids() {
        Speaker::open(fleet.address(id)).lock(Lock::named(&format!("at-{id}-{round}")));
        let text = scrape(fleet.address(id));
        if let Some(missing) = SHOWN.iter().find(|line| !text.lines().any(|shown| shown.starts_with(**line))) {
            return Some(format!("node {id} shows no {missing}: {text}"));
        }
        let leads = value(&text, "latchd_leader ") == 1;
        leaders += u64::from(leads);
        let lags = text.lines().filter(|line| line.starts_with("latchd_peer_lag_entries{")).count();
        let counts = value(&text, "latchd_log_applied_index ") > 0 && value(&text, "latchd_entry_commands_count ") > 0;
        let forwards = value(&text, "latchd_forwarded_commands_total ") > 0;
        let knows_leader = value(&text, "latchd_has_quorum ") == 1;
        if lags != (if leads { 2 } else { 0 }) || !counts || !knows_leader || !(leads || forwards) {
            return Some(format!("node {id}: {text}"));
        }
    }
    (leaders != 1).then(|| format!("{leaders} leaders"))
}

#[test]
fn node_metrics_need_no_other_node() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let deadline = Instant::now() + PATIENCE;
    let mut rounds = 0..;
    // An election between two scrapes may show two leaders, or none.
    while let Some(wrong) = disagreement(&fleet, rounds.next().expect("a number")) {
        assert!(Instant::now() < deadline, "{wrong}\n{}", fleet.told());
    }
    // A busy machine may hold up one scrape. A node that needs the others is never at once.
    let deadline = Instant::now() + PATIENCE;
    while let Err(took) = is_at_once_alone(&mut fleet) {
        assert!(Instant::now() < deadline, "it needs {took:?} while the others hang\n{}", fleet.told());
    }
}

/// Freezes all nodes but one follower, which shows its metrics at once, and then that it has no quorum.
fn is_at_once_alone(fleet: &mut Fleet) -> Result<(), Duration> {
    let leader = fleet.leader();
    let left = fleet.others(leader)[0];
    let others = fleet.others(left);
    let view = fleet.ask(left, "/v1/cluster").unwrap_or_default();
    // The leader alone knows how far the others are: this node can ask it.
    let lags = view["members"].as_array().into_iter().flatten().map(|member| &member["lag_entries"]);
    let asks = view["leader"] == leader && lags.filter(|lag| lag.is_u64()).count() == 3;
    // Not killed: their connections stay open, and whoever asks them waits.
    others.iter().for_each(|id| fleet.node(*id).signal(Signal::STOP));
    let began = Instant::now();
    let mut shown = scrape(fleet.address(left));
    let took = began.elapsed();
    while value(&shown, "latchd_has_quorum ") == 1 {
        assert!(began.elapsed() < PATIENCE, "{}", fleet.told());
        shown = scrape(fleet.address(left));
    }
    others.iter().for_each(|id| fleet.node(*id).signal(Signal::CONT));
    fleet.wait_until_ready();
    if asks && took < AT_ONCE { Ok(()) } else { Err(took) }
}
