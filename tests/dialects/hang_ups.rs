//! What an operator does is carried out and told in the log, also if the operator has gone before the answer.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::redis::{RedisClient, encoded};
use crate::support::spec::Spec;
use serde_json::{Value, json};

const ADMIN: &str = "admin-key-of-the-tests";
/// Most answers come too fast for a client to be gone before them.
const TRIES: usize = 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> Server {
    Spec::in_memory().api_key(ADMIN).redis().start()
}

/// A client that holds these locks.
fn holder(server: &Server, names: &[String]) -> Client {
    let mut client = Client::plain(server).with_header("X-API-Key", ADMIN);
    assert_eq!(client.post("/session", &json!({})).status, 201);
    for name in names {
        let answer: Value =
            serde_json::from_str(&client.post("/v1/lock", &json!({ "name": name })).text()).expect("JSON");
        assert_eq!(answer["locked"], true, "{answer}");
    }
    client
}

/// There is a line for each of these locks once all are free.
fn expect_lines(server: Server, mut client: Client, names: &[String]) {
    let deadline = Instant::now() + PATIENCE;
    for name in names {
        while client.get(&format!("/v1/locks/{name}")).status != 404 {
            assert!(Instant::now() < deadline, "{name} is still held");
            std::thread::yield_now();
        }
    }
    let log = server.stop().stderr;
    assert_eq!(log.lines().filter(|line| line.contains("forced the release of")).count(), names.len(), "{log}");
}

#[test]
fn forced_release_of_a_redis_client_that_hangs_up_is_logged() {
    let server = start();
    let names: Vec<String> = (0..TRIES).map(|number| format!("lock-{number}")).collect();
    let client = holder(&server, &names);
    for name in &names {
        let mut admin = RedisClient::with_key(&server, ADMIN);
        admin.send(&encoded(&[b"DEL", name.as_bytes()]));
        admin.socket().shutdown(Shutdown::Both).expect("closed");
    }
    expect_lines(server, client, &names);
}
