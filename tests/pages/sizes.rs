//! `PUT /v1/locks/{name}/size` and `PUT /v1/size`.

use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::spec::Spec;
use serde_json::{Value, json};

fn resize(client: &mut Client, target: &str, size: &Value) -> Response {
    client.send("PUT", target, json!({"size": size}).to_string().as_bytes())
}

fn take(client: &mut Client, size: u32) -> Value {
    body(&client.post("/v1/lock", &json!({"name": "ci/pool", "size": size})))
}

#[test]
fn larger_size_lets_waiters_in_and_a_smaller_one_drains() {
    let server = Spec::in_memory().api_key("boss").start();
    let client = || Client::plain(&server).with_header("X-API-Key", "boss");
    let (mut admin, mut one, mut two) = (client(), with_session(client()), with_session(client()));
    assert_eq!(take(&mut one, 2)["locked"], true);
    assert_eq!(take(&mut one, 2)["locked"], true);
    let waiting = std::thread::spawn(move || {
        let asked = json!({"name": "ci/pool", "size": 2, "wait_timeout_seconds": 30});
        (body(&two.post("/v1/lock", &asked)), two)
    });
    while body(&admin.get("/v1/locks/ci%2Fpool"))["queue_length"] != 1 {
        std::thread::yield_now();
    }
    let resized = resize(&mut admin, "/v1/locks/ci%2Fpool/size", &json!(3));
    assert_eq!((resized.status, body(&resized)), (200, json!({"name": "ci/pool", "size": 3})));
    let (granted, _two) = waiting.join().expect("an answer");
    assert_eq!(granted["locked"], true);
    assert_eq!(body(&resize(&mut admin, "/v1/size?name=ci/pool", &json!(2)))["size"], 2);
    let mut three = with_session(client());
    assert_eq!(take(&mut three, 2)["locked"], false, "three still hold it");
    assert_eq!(take(&mut three, 3)["error"]["code"], "LockSizeMismatch", "and it has another size");
    let stopped = server.stop();
    let line = stopped.stderr.lines().find(|line| line.contains("changed the size")).expect("a log line");
    assert!(line.contains("command-line-key-1") && line.contains("ci/pool"), "{line}");
}

#[test]
fn size_that_cannot_be_is_refused() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    assert_eq!(take(&mut client, 2)["locked"], true);
    lock(&mut client, "exclusive");
    for size in [json!(0), json!(1), json!(-1), json!(1.5), json!(1e12), json!("x"), json!(null)] {
        let refused = problem(&resize(&mut client, "/v1/size?name=ci/pool", &size), 400, "invalid-field");
        assert_eq!(refused["field"], "size", "{size}");
    }
    let refused = problem(&resize(&mut client, "/v1/size?name=ci/pool", &json!(0)), 400, "invalid-field");
    assert_eq!(refused["config_key"], "locks.size_max");
    let refused = problem(&resize(&mut client, "/v1/size?name=ci/pool", &json!(1)), 400, "invalid-field");
    assert_eq!(refused["detail"], "size must be a whole number from 2 to 10000 (locks.size_max)");
    problem(&resize(&mut client, "/v1/size?name=exclusive", &json!(2)), 409, "not-counted");
    problem(&resize(&mut client, "/v1/size?name=unknown", &json!(2)), 404, "no-such-lock");
    assert_eq!(problem(&resize(&mut client, "/v1/size", &json!(2)), 400, "invalid-field")["field"], "name");
    problem(&client.send("PUT", "/v1/size?name=ci/pool", b"size=2"), 400, "malformed-body");
    assert_eq!(body(&client.get("/v1/locks?name=ci/pool"))["locks"][0]["size"], 2);
}

#[test]
fn size_of_an_idle_lock_is_changed() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    let key = take(&mut client, 2)["key"].clone();
    client.post("/v1/unlock", &json!({"name": "ci/pool", "key": key}));
    assert_eq!(resize(&mut client, "/v1/size?name=ci/pool", &json!(5)).status, 200);
    assert_eq!(take(&mut client, 2)["error"]["code"], "LockSizeMismatch");
    assert_eq!(take(&mut client, 5)["locked"], true);
}
