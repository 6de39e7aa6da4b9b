//! `GET /v1/locks/{name}/fence`, `GET /v1/fence` and `POST /v1/fence`.

use super::names::AWKWARD;
use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::spec::Spec;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

fn token_of(client: &mut Client, name: &str) -> u64 {
    let shown = body(&client.get(&format!("/v1/locks?name={name}")));
    shown["locks"][0]["holders"][0]["fencing_token"].as_u64().unwrap_or_else(|| panic!("{shown}"))
}

fn checked(newest: bool, held: bool, newest_token: Option<u64>) -> Value {
    json!({"newest": newest, "held": held, "newest_token": newest_token})
}

#[test]
fn token_is_checked_against_the_holds_of_its_lock() {
    let server = Spec::in_memory().start();
    let (mut one, mut two) = (with_session(Client::plain(&server)), with_session(Client::plain(&server)));
    let ask = |client: &mut Client, token: u64| body(&client.get(&format!("/v1/locks/pool/fence?token={token}")));
    assert_eq!(ask(&mut one, 1), checked(false, false, None), "nobody holds it");
    let pool = json!({"name": "pool", "size": 2});
    let first = body(&one.post("/v1/lock", &pool))["fencing_token"].as_u64().expect("a token");
    assert_eq!(ask(&mut two, first), checked(true, true, Some(first)));
    let second = body(&two.post("/v1/lock", &pool))["fencing_token"].as_u64().expect("a token");
    assert_eq!(ask(&mut two, first), checked(false, true, Some(second)));
    assert_eq!(ask(&mut two, second), checked(true, true, Some(second)));
    assert_eq!(ask(&mut two, second + 1), checked(false, false, Some(second)), "of no hold");
    two.delete("/session");
    assert_eq!(ask(&mut one, first), checked(true, true, Some(first)), "the newest of the present holds");
    assert_eq!(ask(&mut one, second), checked(false, false, Some(first)));
    let taken = body(&one.post("/v1/lock", &json!({"name": "short", "lock_timeout_seconds": 0.05})));
    let short = taken["fencing_token"].as_u64().expect("granted");
    while body(&one.get(&format!("/v1/locks/short/fence?token={short}")))["held"] == true {
        std::thread::yield_now();
    }
    assert_eq!(body(&one.get(&format!("/v1/fence?name=short&token={short}"))), checked(false, false, None));
}

#[test]
fn token_of_a_lock_with_any_name_is_checked() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    for name in AWKWARD {
        lock(&mut client, name);
        let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        let token = token_of(&mut client, &encoded);
        let answer = body(&client.get(&format!("/v1/fence?name={encoded}&token={token}")));
        assert_eq!(answer, checked(true, true, Some(token)), "{name:?}");
    }
    for (target, field) in [
        ("/v1/fence?token=1", "name"),
        ("/v1/fence?name=a", "token"),
        ("/v1/fence?name=a&token=", "token"),
        ("/v1/fence?name=a&token=0", "token"),
        ("/v1/fence?name=a&token=-1", "token"),
        ("/v1/fence?name=a&token=%2B1", "token"),
        ("/v1/fence?name=a&token=1.5", "token"),
        ("/v1/fence?name=a&token=99999999999999999999", "token"),
        ("/v1/fence?name=%00&token=1", "name"),
        ("/v1/locks/a/fence", "token"),
    ] {
        assert_eq!(problem(&client.get(target), 400, "invalid-field")["field"], field, "{target}");
    }
    problem(&client.get("/v1/locks/a/fence?tokn=1"), 400, "invalid-field");
}

#[test]
fn mark_rises_and_lower_tokens_are_refused() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    lock(&mut client, "one");
    lock(&mut client, "two");
    let (low, high) = (token_of(&mut client, "one"), token_of(&mut client, "two"));
    let mut raise =
        |resource: &str, token: u64| client.post("/v1/fence", &json!({"resource": resource, "token": token}));
    let accepted = |mark: u64| json!({"accepted": true, "mark": mark});
    assert_eq!(body(&raise("orders/db", low)), accepted(low));
    assert_eq!(body(&raise("orders/db", low)), accepted(low), "its holder may write again");
    assert_eq!(body(&raise("orders/db", high)), accepted(high));
    let refused = problem(&raise("orders/db", low), 409, "token-below-mark");
    assert_eq!(refused["mark"], high);
    assert_eq!(body(&raise("another", low)), accepted(low), "each resource has its own");
    let refused = problem(&raise("orders/db", high + 1_000), 400, "invalid-field");
    assert_eq!(refused["field"], "token", "never issued: it would refuse everybody");
    assert_eq!(body(&raise("orders/db", high)), accepted(high));
}

#[test]
fn bad_marks_are_refused_with_field_and_limit() {
    let server = Spec::in_memory().configuration("[fences]\nmarks_max = 1\nmark_idle = \"4s\"\n").start();
    let mut client = with_session(Client::plain(&server));
    lock(&mut client, "one");
    let token = token_of(&mut client, "one");
    let long = "x".repeat(513);
    for (asked, field, code) in [
        (json!({"token": token}), "resource", "invalid-field"),
        (json!({"resource": "", "token": token}), "resource", "invalid-field"),
        (json!({"resource": 7, "token": token}), "resource", "invalid-field"),
        (json!({"resource": "a\u{0}", "token": token}), "resource", "invalid-field"),
        (json!({"resource": long, "token": token}), "resource", "limit-exceeded"),
        (json!({"resource": "a"}), "token", "invalid-field"),
        (json!({"resource": "a", "token": 0}), "token", "invalid-field"),
        (json!({"resource": "a", "token": -5}), "token", "invalid-field"),
        (json!({"resource": "a", "token": 1.5}), "token", "invalid-field"),
        (json!({"resource": "a", "token": 1e300}), "token", "invalid-field"),
        (json!({"resource": "a", "token": "x"}), "token", "invalid-field"),
    ] {
        assert_eq!(problem(&client.post("/v1/fence", &asked), 400, code)["field"], field, "{asked}");
    }
    let raise =
        |client: &mut Client, resource: &str| client.post("/v1/fence", &json!({"resource": resource, "token": token}));
    assert_eq!(raise(&mut client, "a").status, 200);
    let full = problem(&raise(&mut client, "b"), 503, "marks-full");
    assert_eq!((&full["limit"], &full["config_key"]), (&json!(1), &json!("fences.marks_max")));
    while raise(&mut client, "b").status == 503 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
