//! A wait whose node was declared down while it was stopped: its session lives, so its answer is about the wait.

use crate::docs::block;
use crate::support::machine::{Machine, PATIENCE};
use reqwest::{Client, Response};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A worker with a session, who talks to one node.
struct Worker<'a> {
    client: Client,
    machine: &'a Machine,
    session: String,
}

impl<'a> Worker<'a> {
    async fn at(machine: &'a Machine, node: u64) -> Self {
        let client = Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
        let opened = read(client.post(url(machine, node, "/session")).send().await.expect("an answer")).await;
        let session = opened["session_id"].as_str().expect("a session").to_owned();
        Self { client, machine, session }
    }

    async fn ask(&self, node: u64, path: &str, body: Value) -> Response {
        let request = self.client.post(url(self.machine, node, path)).body(body.to_string());
        let cookie = format!("ldlm-session={}", self.session);
        request.header("Cookie", cookie).timeout(PATIENCE).send().await.expect("an answer")
    }
}

fn url(machine: &Machine, node: u64, path: &str) -> String {
    format!("https://{}:845{node}{path}", machine.address)
}

async fn read(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
}

/// Polls this path of a node until its answer fits.
async fn until(machine: &Machine, node: u64, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let client = Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = read(client.get(url(machine, node, path)).send().await.expect("an answer")).await;
        if is_so(&shown) {
            return shown;
        }
        assert!(Instant::now() < deadline, "node {node} at {path}: {shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_through_a_node_declared_down_ends_and_keeps_its_session() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let machine = Machine::new(37);
    machine.run(&block("docs/clusters.md", "sh three"));
    let cluster = until(&machine, 1, "/v1/cluster", |cluster| cluster["has_quorum"] == true).await;
    let leader = cluster["leader"].as_u64().expect("a leader");
    let follower = (1..=3).find(|node| *node != leader).expect("one of the others");

    let holder = Worker::at(&machine, leader).await;
    let asked = json!({"name": "a", "lock_timeout_seconds": 600});
    assert_eq!(read(holder.ask(leader, "/v1/lock", asked).await).await["locked"], true);
    let waiter = Worker::at(&machine, leader).await;
    let wait = json!({"name": "a", "lock_timeout_seconds": 600, "wait_timeout_seconds": 300});
    let stopped = async {
        until(&machine, leader, "/v1/locks/a", |lock| lock["queue_length"] == 1).await;
        machine.signal(&format!("data{follower}"), Signal::STOP);
        until(&machine, leader, "/v1/locks/a", |lock| lock["queue_length"] == 0).await;
        machine.signal(&format!("data{follower}"), Signal::CONT);
    };
    let (answer, ()) = tokio::join!(waiter.ask(follower, "/v1/lock", wait), stopped);
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.headers().contains_key("set-cookie") && answer.headers().contains_key("retry-after"));
    let told = read(answer).await;
    let words = "The wait was cut short, and nothing was taken";
    assert_eq!(told, json!({"code": 14, "message": words, "details": [], "reason": "wait-cancelled"}));
    let other = waiter.ask(leader, "/v1/lock", json!({"name": "b"})).await;
    assert_eq!(read(other).await["locked"], true, "its session lives");
}
