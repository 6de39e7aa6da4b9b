//! Three nodes behind the load balancers of the guide: nodes that are stopped, clients that leave, connections that are
//! sessions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::balancer::{Balancer, Kind};
use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{COOKIE, Lock, Speaker, granted};
use super::wire::{API_KEY, Ask, Wire};
use crate::dialects::dialect_client::{DialectClient, Protocol};
use crate::support::http::{Connection, encode};

/// As in the files of `deploy/`; the address is that of a balancer on this machine.
const SETTINGS: &str = "[access]\nallow_anonymous = true\n[server]\ndrain_delay = \"5s\"\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n[sessions]\nconnections_via_proxy = true\n";
const CLIENTS: usize = 8;
/// Requests at a node before it is stopped.
const LOAD: u64 = 200;
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN: Duration = Duration::from_millis(5);

fn behind(kind: Kind) -> (Fleet, Balancer) {
    let mut fleet = Fleet::prepare(SIZE, SETTINGS);
    fleet.launch();
    let balancer = Balancer::start(kind, &fleet);
    (fleet, balancer)
}

#[test]
fn rolling_restart_behind_nginx_fails_no_request() {
    nodes_stop_in_turn(Kind::Nginx);
}

#[test]
fn rolling_restart_behind_haproxy_fails_no_request() {
    nodes_stop_in_turn(Kind::Haproxy);
}

fn nodes_stop_in_turn(kind: Kind) {
    let _turn = turn();
    let (mut fleet, balancer) = behind(kind);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<Client> = (0..CLIENTS).map(|id| start_client(id, balancer.https, &stop)).collect();
    let first = fleet.leader();
    let second = fleet.ids().into_iter().find(|id| *id != first).expect("there are three");
    for node in [first, second] {
        until_it_is_asked(&fleet, node);
        fleet.node(node).signal(Signal::TERM);
        let status = fleet.node(node).wait().expect("it ran");
        assert!(status.success(), "{status}\n{}", fleet.told());
        fleet.start_node(node);
        fleet.wait_until_ready();
    }
    until_it_is_asked(&fleet, second);
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let (beats, failed) = client.join().expect("a client does not panic");
        assert!(failed.is_empty(), "{failed:?}\n{}\n{}", balancer.told(), fleet.told());
        println!("{kind:?}: {beats} locks were taken and given back");
    }
}

/// Until the balancer sends a good part of the load to a node, which its own metrics tell.
fn until_it_is_asked(fleet: &Fleet, node: u64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = Wire::new(fleet.address(node)).send(&Ask::get("/metrics"), ANSWER_WITHIN);
        let shown = shown.map(|answer| answer.text()).unwrap_or_default();
        let counts =
            shown.lines().filter(|line| line.starts_with("latchd_http_requests_total{dialect=\"sessions_v1\""));
        let asked: u64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        if asked >= LOAD {
            return;
        }
        assert!(Instant::now() < deadline, "clients asked node {node} for {asked}: {shown}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many locks a client took, and which requests came to nothing.
type Client = JoinHandle<(u64, Vec<String>)>;

fn start_client(id: usize, at: SocketAddr, stop: &Arc<AtomicBool>) -> Client {
    let stop = Arc::clone(stop);
    let mut speaker = Speaker::open(at);
    std::thread::spawn(move || {
        let (mut beats, mut failed) = (0, Vec::new());
        while !stop.load(Ordering::Relaxed) {
            match beat(&mut speaker, &format!("free-{id}-{beats}")) {
                Ok(()) => beats += 1,
                Err(why) => failed.push(why),
            }
            std::thread::sleep(BETWEEN);
        }
        (beats, failed)
    })
}

/// Takes a free lock, renews it and gives it back.
fn beat(speaker: &mut Speaker, name: &str) -> Result<(), String> {
    let answer = speaker.try_lock(Lock::named(name).leased(60.0), ANSWER_WITHIN);
    let grant = granted(&answer.map_err(|error| format!("lock {name}: {error}"))?)?;
    for (target, fields) in [("/v1/renew", json!({"lock_timeout_seconds": 60})), ("/v1/unlock", json!({}))] {
        let mut body = fields;
        (body["name"], body["key"]) = (name.into(), grant.key.as_str().into());
        let answer = speaker.send(&Ask::post(target, &body), ANSWER_WITHIN);
        let answer = answer.map_err(|error| format!("{target} {name}: {error}"))?;
        if answer.status != 200 {
            return Err(format!("{target} {name}: {} {}", answer.status, answer.text()));
        }
    }
    Ok(())
}

#[test]
fn disconnected_client_leaves_queue_behind_balancers() {
    let _turn = turn();
    for kind in [Kind::Nginx, Kind::Haproxy] {
        let (_fleet, balancer) = behind(kind);
        let mut holder = Speaker::open(balancer.https);
        holder.take(Lock::named("wanted").leased(600.0));
        let waits = waiting(balancer.https, holder.session(), "wanted");
        holder.sees_queue_of("wanted", 1);
        waits.close();
        holder.sees_queue_of("wanted", 0);
    }
}

/// A request that waits, on a connection of its own.
fn waiting(at: SocketAddr, session: &str, name: &str) -> Connection {
    let mut connection = Connection::tls(at).expect("a connection");
    let body = json!({"name": name, "wait_timeout_seconds": 60}).to_string();
    let cookie = format!("{COOKIE}={session}");
    let headers = [("X-API-Key", API_KEY), ("Cookie", &cookie), ("Content-Type", "application/json")];
    connection.send(&encode("POST", "/v1/lock", &headers, body.as_bytes())).expect("sent");
    connection
}

/// LDLM's gRPC clients are their connection, so each needs its own all the way: port 8444 gives it that.
#[test]
fn connection_sessions_stay_separate_through_tcp_balancers() {
    let _turn = turn();
    for kind in [Kind::Nginx, Kind::Haproxy] {
        let (fleet, balancer) = behind(kind);
        let ldlm = || DialectClient::at(Protocol::LdlmGrpc, balancer.tcp, API_KEY);
        let (mut first, mut second) = (ldlm(), ldlm());
        let held = first.take("shared").expect("it is free");
        assert!(second.take("shared").is_none(), "{kind:?}: two sessions hold it");
        assert!(first.take("another").is_some(), "{kind:?}: the first one's session goes on between its calls");
        drop(first);
        let deadline = Instant::now() + PATIENCE;
        let next = loop {
            if let Some(next) = second.take("shared") {
                break next;
            }
            assert!(Instant::now() < deadline, "{kind:?}: the end of a connection ends nothing\n{}", fleet.told());
            std::thread::sleep(BETWEEN);
        };
        assert!(next.token > held.token);
    }
}
