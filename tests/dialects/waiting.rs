//! Waiting in the queue, in the dialects that can: hand-off, order, end of patience, and clients that leave.

use super::dialect_client::{DialectClient, Protocol, in_the_way, request, until, until_waiting};
use crate::support::client::Client;
use crate::support::http::{Connection, encode};
use crate::support::spec::Spec;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn release_wakes_the_waiter() {
    let server = Spec::in_memory().start();
    for protocol in Protocol::WAITING {
        let name = format!("wake-{protocol:?}");
        let mut holder = DialectClient::new(protocol, &server);
        let first = holder.take(&name).expect("free");
        let mut waiter = DialectClient::new(protocol, &server);
        let waiting = thread::spawn({
            let name = name.clone();
            move || (waiter.wait(&name, 30.0), waiter)
        });
        until_waiting(&server, &name, 1);
        let released = Instant::now();
        assert!(holder.give_back(&name));
        let (hold, mut waiter) = waiting.join().expect("the waiter lives");
        let hold = hold.expect("granted");
        assert!(released.elapsed() < Duration::from_secs(20), "{protocol:?}: it was not the release that woke it");
        assert!(hold.token > first.token);
        assert!(waiter.give_back(&name));
    }
}

#[test]
fn waiters_of_all_dialects_share_one_queue() {
    let server = Spec::in_memory().start();
    let name = "one-queue";
    let mut holder = DialectClient::new(Protocol::LockByName, &server);
    holder.take(name).expect("free");
    let (granted, grants) = mpsc::channel();
    let mut waiting = Vec::new();
    let arrivals: Vec<Protocol> = Protocol::WAITING.into_iter().chain(Protocol::WAITING).collect();
    for (place, protocol) in arrivals.iter().enumerate() {
        let (granted, mut waiter) = (granted.clone(), DialectClient::new(*protocol, &server));
        waiting.push(thread::spawn(move || {
            waiter.wait(name, 30.0).expect("granted");
            granted.send(place).expect("the test listens");
            assert!(waiter.give_back(name));
        }));
        until_waiting(&server, name, place as u64 + 1);
    }
    assert!(holder.give_back(name));
    let order: Vec<usize> = grants.iter().take(arrivals.len()).collect();
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    waiting.into_iter().for_each(|thread| thread.join().expect("the waiter lives"));
}

#[test]
fn wait_times_out_and_not_early() {
    let server = Spec::in_memory().start();
    let mut holder = DialectClient::new(Protocol::LockByName, &server);
    holder.take("patience").expect("free");
    for protocol in Protocol::WAITING {
        let mut waiter = DialectClient::new(protocol, &server);
        let asked = Instant::now();
        assert!(waiter.wait("patience", 0.3).is_none());
        assert!(asked.elapsed() >= Duration::from_millis(300), "{protocol:?}: {:?}", asked.elapsed());
        assert_eq!(in_the_way(&server, "patience").expect("held")["queue_length"], 0);
    }
}

#[test]
fn expiry_grants_the_lock_to_the_waiter() {
    let server = Spec::in_memory().start();
    for protocol in Protocol::WAITING {
        let name = format!("expiry-{protocol:?}");
        let (mut holder, mut waiter) = (DialectClient::new(protocol, &server), DialectClient::new(protocol, &server));
        let asked = Instant::now();
        holder.take_for(&name, 0.3).expect("free");
        assert!(waiter.wait(&name, 30.0).is_some());
        assert!(asked.elapsed() >= Duration::from_millis(300), "{protocol:?}: {:?}", asked.elapsed());
    }
}

#[test]
fn closed_connection_removes_its_waiter() {
    let server = Spec::in_memory().start();
    for protocol in Protocol::WAITING {
        let name = format!("gone-{protocol:?}");
        let mut holder = DialectClient::new(Protocol::LockByName, &server);
        holder.take(&name).expect("free");
        let connection = waiting_connection(&server, protocol, &name);
        until_waiting(&server, &name, 1);
        connection.close();
        until_waiting(&server, &name, 0);
        assert!(holder.give_back(&name));
        assert!(holder.take(&name).is_some(), "{protocol:?}: the lock went to a client that is gone");
    }
}

#[test]
fn ended_session_ends_its_waits() {
    let server = Spec::in_memory().start();
    let mut holder = DialectClient::new(Protocol::LockByName, &server);
    holder.take("ends").expect("free");
    let mut waiter = DialectClient::new(Protocol::SessionsV1, &server);
    let session = waiter.client.cookie("ldlm-session").expect("a session").to_owned();
    let waiting = thread::spawn(move || {
        let (method, target, body) = request(Protocol::SessionsV1, "ends", 600.0, Some(30.0));
        waiter.client.send(method, &target, body.as_bytes())
    });
    until_waiting(&server, "ends", 1);
    let mut same_session = Client::tls(&server);
    same_session.set_cookie("ldlm-session", &session);
    assert_eq!(same_session.delete("/session").status, 200);
    let answer = waiting.join().expect("the waiter lives");
    assert_eq!(answer.status, 401, "{}", answer.text());
    until("the queue to be empty", || in_the_way(&server, "ends").expect("held")["queue_length"] == 0);
}

/// The same end as when the node that carries the request is declared down: the session goes on.
#[test]
fn wait_cut_short_by_a_stop_keeps_its_session() {
    let server = Spec::in_memory().start();
    for protocol in [Protocol::SessionsV1, Protocol::LockUnlock] {
        let name = format!("cut-{protocol:?}");
        DialectClient::new(Protocol::LockByName, &server).take(&name).expect("free");
        let first = DialectClient::new(protocol, &server);
        let session = first.client.cookie("ldlm-session").map(str::to_owned);
        let attempt = |mut client: Client| {
            let (method, target, body) = request(protocol, &name, 600.0, Some(30.0));
            thread::spawn(move || {
                client = client.with_header("Idempotency-Key", "the same");
                (client.send(method, &target, body.as_bytes()), client)
            })
        };
        let cut = attempt(first.client);
        until_waiting(&server, &name, 1);
        let mut again = Client::tls(&server);
        session.iter().for_each(|session| again.set_cookie("ldlm-session", session));
        let waits = attempt(again);
        let (answer, mut first) = cut.join().expect("the waiter lives");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{protocol:?}: {}", answer.text());
        if protocol == Protocol::SessionsV1 {
            let words = r#"{"code":14,"message":"The wait was cut short, and nothing was taken","details":[],"reason":"wait-cancelled"}"#;
            assert_eq!(answer.text(), words);
            assert!(answer.header("set-cookie").is_some(), "the session lives");
        }
        assert_eq!(in_the_way(&server, &name).expect("held")["queue_length"], 1, "the later attempt has the place");
        assert_eq!(first.delete(&format!("/lock/{name}")).status, 200);
        assert_eq!(waits.join().expect("the waiter lives").0.status, 200, "{protocol:?}");
    }
}

/// A connection on which a request waits.
fn waiting_connection(server: &crate::support::process::Server, protocol: Protocol, name: &str) -> Connection {
    let dialect_client = DialectClient::new(protocol, server);
    let cookie =
        dialect_client.client.cookie("ldlm-session").map(|id| format!("ldlm-session={id}")).unwrap_or_default();
    let (method, target, body) = request(protocol, name, 600.0, Some(30.0));
    let headers = [("Cookie", &*cookie), ("Content-Type", "application/json")];
    let mut connection = Connection::tls(server.https()).expect("a connection");
    connection.send(&encode(method, &target, &headers, body.as_bytes())).expect("sent");
    connection
}
