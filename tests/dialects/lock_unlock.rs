//! Lock/unlock JSON: the two endpoints, their answers and their errors.

use crate::support::client::Client;
use crate::support::spec::Spec;
use serde_json::json;

#[test]
fn lock_id_alone_unlocks() {
    let server = Spec::in_memory().start();
    let mut client = Client::tls(&server);
    let resource = "orders/日本 #1";
    let locked = client.post("/lock", &json!({"resource": resource, "ttl": 20}));
    assert_eq!((locked.status, locked.header("content-type")), (200, Some("application/json")));
    let locked = locked.json();
    assert_eq!(locked["resource"], resource);
    assert!(locked["fencing_token"].is_u64());
    let expires_in = locked["expires_in_seconds"].as_f64().expect("a number");
    assert!(expires_in > 19.0 && expires_in <= 20.0);
    let lock_id = locked["lock_id"].clone();
    // Another connection, nothing but the lock_id.
    let unlocked = Client::tls(&server).post("/unlock", &json!({"lock_id": lock_id}));
    assert_eq!((unlocked.status, unlocked.json()), (200, json!({"lock_id": lock_id, "released": true})));
    let again = client.post("/unlock", &json!({"lock_id": lock_id}));
    assert_eq!((again.status, &again.json()["error"]["code"]), (404, &json!("wrong-key")));
}

#[test]
fn held_lock_is_409_with_its_holder() {
    let server = Spec::in_memory().start();
    let mut client = Client::tls(&server);
    let metadata = json!({"owner": "web-1", "job": "import"});
    let locked = client.post("/lock", &json!({"resource": "r", "metadata": metadata})).json();
    let refused = client.post("/lock", &json!({"resource": "r"}));
    assert_eq!(refused.status, 409);
    let refused = refused.json();
    assert_eq!(refused["error"]["code"], "held");
    assert_eq!(refused["holder"]["metadata"], metadata);
    assert_eq!(refused["holder"]["fencing_token"], locked["fencing_token"]);
    assert_eq!(refused["holder"]["queue_length"], 0);
    let remaining = refused["holder"]["remaining_seconds"].as_f64().expect("a number");
    assert!(remaining > 28.0 && remaining <= 30.0, "30 s is the default: {remaining}");
    let text = refused.to_string();
    assert!(!text.contains(locked["lock_id"].as_str().expect("text")), "a refusal tells no secret");
}

#[test]
fn invalid_lock_id_is_not_found() {
    let server = Spec::in_memory().start();
    let mut client = Client::tls(&server);
    let key = "0".repeat(32);
    for lock_id in ["x".to_owned(), ".".to_owned(), format!("{key}."), format!("{key}.cg"), "y".repeat(5_000)] {
        let answer = client.post("/unlock", &json!({"lock_id": lock_id}));
        assert_eq!((answer.status, &answer.json()["error"]["field"]), (404, &json!("lock_id")), "{lock_id}");
    }
}

#[test]
fn timed_out_wait_has_its_own_409() {
    let server = Spec::in_memory().start();
    let mut client = Client::tls(&server);
    client.post("/lock", &json!({"resource": "w"}));
    let answer = client.post("/lock", &json!({"resource": "w", "wait": 0.1}));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (409, &json!("wait-timed-out")));
}

#[test]
fn only_post_with_json_is_accepted() {
    let server = Spec::in_memory().start();
    let body = br#"{"resource":"c"}"#;
    for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
        let mut client = Client::tls(&server).with_header("Content-Type", content_type);
        let locked = client.send("POST", "/lock", body).json();
        assert_eq!(client.post("/unlock", &json!({"lock_id": locked["lock_id"]})).status, 200);
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let mut client = Client::tls(&server).with_header("Content-Type", content_type);
        let answer = client.send("POST", "/lock", body);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (415, &json!("unsupported-media-type")));
    }
    let mut client = Client::tls(&server);
    for (method, path) in [("GET", "/lock"), ("PUT", "/lock"), ("GET", "/unlock"), ("DELETE", "/unlock")] {
        let answer = client.send(method, path, b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} {path}");
        assert_eq!(answer.json()["error"]["code"], "method-not-allowed");
    }
}
