//! GET_LOCK style: the order of its checks, its messages, and our additions.

use super::dialect_client::{DialectClient, Protocol, until};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::spec::Spec;
use serde_json::{Value, json};

const KEY: &str = "secret-of-the-tests";

fn said(response: &Response, status: u16, key: &str, words: &str) {
    let json = response.json();
    assert_eq!((response.status, &json[key]), (status, &json!(words)), "{json}");
    assert_eq!(json["servername"], "TestServer");
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

fn spec() -> Spec {
    Spec::in_memory().configuration("[server]\nname = \"TestServer\"\n")
}

#[test]
fn checks_keep_doubledutchs_order_and_messages() {
    let server = spec().api_key(KEY).start();
    let mut client = Client::tls(&server);
    let mut get = |target: &str| client.get(target);
    said(&get("/getlock"), 400, "error", "no lockname supplied");
    said(&get("/getlock?lockname=a"), 401, "error", "no api key supplied");
    said(&get("/getlock?lockname=a&auth=x&lifetime=abc"), 401, "error", "invalid api key");
    for field in ["lifetime", "timeout"] {
        let refused = get(&format!("/getlock?lockname=a&auth={KEY}&{field}=abc"));
        assert_eq!((refused.status, &refused.json()["field"]), (400, &json!(field)));
    }
    said(&get("/status"), 400, "status", "no api key");
    said(&get("/status?auth=x"), 401, "status", "invalid key");
    let mut delete = |target: &str| client.delete(target);
    said(&delete(&format!("/releaselock?auth={KEY}")), 400, "error", "invalid params");
    said(&delete("/releaselock?lockname=a&token=t&auth=x"), 401, "error", "invalid key");
    let unknown = delete(&format!("/releaselock?lockname=a&token=t&auth={KEY}"));
    assert_eq!(unknown.status, 400);
    assert_eq!(unknown.json(), json!({"servername": "TestServer", "lockname": "a", "lockreleased": false}));
    assert_eq!(get_status(&server, KEY)["locks"], json!([]), "nothing was taken");
}

fn get_status(server: &crate::support::process::Server, key: &str) -> Value {
    let answer = Client::tls(server).get(&format!("/status?auth={key}"));
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    answer.json()
}

#[test]
fn lock_is_taken_refused_and_released() {
    let server = spec().api_key(KEY).start();
    let mut client = Client::tls(&server);
    let take = format!("/getlock?lockname=a+b%2Fc&auth={KEY}");
    let taken = client.get(&take);
    assert_eq!((taken.status, taken.header("content-type")), (200, Some("application/json")));
    assert_eq!((taken.header("server"), taken.header("cache-control")), (Some("TestServer"), Some("no-store")));
    let taken = taken.json();
    assert_eq!(taken["servername"], "TestServer");
    assert_eq!((&taken["lockname"], &taken["lockacquired"]), (&json!("a b/c"), &json!(true)));
    let token = taken["sessiontoken"].as_str().expect("text");
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
    assert!(taken["fencing_token"].is_u64());
    let expires_in = taken["expires_in"].as_f64().expect("a number");
    assert!(expires_in > 29.0 && expires_in <= 30.0, "30 s is the default: {expires_in}");
    let refused = json!({"servername": "TestServer", "lockname": "a b/c", "sessiontoken": "", "lockacquired": false});
    assert_eq!(client.get(&take).json(), refused);
    // The older generation of clients sends no key with a release.
    let released = client.delete(&format!("/releaselock?lockname=a+b%2Fc&token={token}"));
    assert_eq!(released.json(), json!({"servername": "TestServer", "lockname": "a b/c", "lockreleased": true}));
    assert_eq!(client.get(&take).json()["lockacquired"], true);
}

#[test]
fn api_key_is_accepted_in_a_header() {
    let server = spec().api_key(KEY).start();
    let headers = [("X-API-Key", KEY.to_owned()), ("Authorization", format!("Bearer {KEY}"))];
    for (at, (name, value)) in headers.iter().enumerate() {
        let mut client = Client::tls(&server).with_header(name, value);
        assert_eq!(client.get(&format!("/getlock?lockname=h{at}")).json()["lockacquired"], true, "{name}");
        assert_eq!(client.get("/status").status, 200);
    }
}

#[test]
fn names_may_be_empty_and_first_parameter_counts() {
    let server = spec().start();
    let mut client = Client::tls(&server);
    assert_eq!(client.get("/getlock?lockname=").json()["lockacquired"], true);
    assert_eq!(client.get("/getlock?lockname").json()["lockacquired"], false, "the same name");
    assert_eq!(client.get("/getlock?lockname=x&lockname=y").json()["lockname"], "x");
    assert_eq!(client.get("/getlock?LockName=x").status, 400);
}

#[test]
fn head_takes_nothing_and_other_methods_are_405() {
    let server = spec().start();
    let mut client = Client::tls(&server);
    let head = client.send("HEAD", "/getlock?lockname=h", b"");
    assert_eq!((head.status, head.header("allow")), (405, Some("OPTIONS, GET")));
    assert_eq!(client.get("/status").json()["locks"], json!([]));
    for (method, path) in [("POST", "/getlock"), ("GET", "/releaselock"), ("PUT", "/releaselock"), ("POST", "/status")]
    {
        let answer = client.send(method, path, b"");
        assert_eq!((answer.status, &*answer.text()), (405, "405 Method Not Allowed\r\n"), "{method} {path}");
        assert!(answer.header("allow").is_some() && answer.header("content-type").is_none());
    }
    let options = client.send("OPTIONS", "/releaselock", b"");
    assert_eq!((options.status, options.header("allow")), (204, Some("OPTIONS, DELETE")));
    let slash = client.get("/getlock/");
    assert_eq!((slash.status, &*slash.text()), (404, "404 Not Found\r\n"));
}

#[test]
fn timeout_and_lifetime_may_have_fractions() {
    let server = spec().start();
    let mut client = Client::tls(&server);
    assert_eq!(client.get("/getlock?lockname=g&lifetime=600.5").json()["lockacquired"], true);
    assert_eq!(client.get("/getlock?lockname=g&timeout=0.0").json()["lockacquired"], false);
    assert_eq!(client.get("/getlock?lockname=f&lifetime=0.5").json()["lockacquired"], true);
    let second = client.get("/getlock?lockname=f&timeout=0.9&lifetime=1209600");
    assert_eq!(second.json()["lockacquired"], true, "0.9 is not 0");
    let locks = client.get("/status").json()["locks"].as_array().expect("a list").clone();
    let found = locks.iter().find(|lock| lock["lockname"] == "f").expect("the second");
    let remaining = found["remaining"].as_f64().expect("a number");
    assert!(remaining > 1_209_500.0 && remaining <= 1_209_600.0, "{remaining}");
}

#[test]
fn status_lists_own_holds_in_order_and_others_apart() {
    let server = spec().start();
    let mut client = Client::tls(&server);
    for name in ["z", "a", "m"] {
        client.get(&format!("/getlock?lockname={name}&lifetime=1000"));
    }
    let mut session = DialectClient::new(Protocol::SessionsV1, &server);
    session.client.post("/v1/lock", &json!({"name": "native"}));
    let status = client.get("/status").json();
    assert_eq!((&status["servername"], &status["status"]), (&json!("TestServer"), &json!("ok")));
    let names: Vec<&str> =
        status["locks"].as_array().expect("a list").iter().flat_map(|lock| lock["lockname"].as_str()).collect();
    assert_eq!(names, ["z", "a", "m"]);
    let last = status["locks"][2]["remaining"].as_f64().expect("a number");
    assert!(last > 950.0 && last <= 1000.0);
    assert_eq!(status["locks"][0]["sessiontoken"].as_str().map(str::len), Some(32), "this caller is an admin");
    let native = &status["other_locks"][0];
    assert_eq!((&native["lockname"], &native["dialect"]), (&json!("native"), &json!("sessions-v1")));
    assert!(
        native["remaining"].as_f64().is_some_and(|left| left > 590.0 && left <= 600.0),
        "with its session: {native}"
    );
}

#[test]
fn session_cookie_binds_the_hold() {
    let server = spec().start();
    let mut bound = DialectClient::new(Protocol::SessionsV1, &server).client;
    let taken = bound.get("/getlock?lockname=bound&lifetime=1000");
    assert_eq!(taken.json()["lockacquired"], true);
    assert!(taken.cookie("ldlm-session").is_some(), "the session was used");
    assert_eq!(bound.delete("/session").status, 200);
    let mut other = Client::tls(&server);
    assert_eq!(other.get("/getlock?lockname=bound").json()["lockacquired"], true, "the hold ended with its session");
    other.set_cookie("ldlm-session", "00112233445566778899aabbccddeeff");
    let unknown = other.get("/getlock?lockname=free");
    assert_eq!((unknown.status, &unknown.json()["code"]), (401, &json!("session-unknown")));
}

#[test]
fn thousand_concurrent_locks_are_taken_and_listed() {
    let server = spec().start();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let mut client = Client::tls(&server);
            scope.spawn(move || {
                for at in 0..125 {
                    let answer = client.get(&format!("/getlock?lockname=n{thread}-{at}&lifetime=1000"));
                    assert_eq!(answer.json()["lockacquired"], true);
                }
            });
        }
    });
    let locks = Client::tls(&server).get("/status").json()["locks"].clone();
    assert_eq!(locks.as_array().map(Vec::len), Some(1000));
    let mut dialect_client = DialectClient::new(Protocol::GetLock, &server);
    until("a lock with a short lifetime", || dialect_client.take_for("brief", 0.05).is_some());
    until("its end, although nobody asks for it", || {
        let listed = Client::tls(&server).get("/status").json()["locks"].clone();
        !listed.as_array().expect("a list").iter().any(|lock| lock["lockname"] == "brief")
    });
}

#[test]
fn timeout_equal_to_the_lifetime_outlasts_it() {
    let server = spec().start();
    std::thread::scope(|scope| {
        for at in 0..16 {
            let mut client = Client::tls(&server);
            scope.spawn(move || {
                // Nothing lies between the two, so that the lease and the wait end in the same millisecond.
                let mut take = |wait: &str| client.get(&format!("/getlock?lockname=tie{at}&lifetime=0.7{wait}")).json();
                assert_eq!(take("")["lockacquired"], true);
                assert_eq!(take("&timeout=0.7")["lockacquired"], true);
            });
        }
    });
}
