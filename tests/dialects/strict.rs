//! Unknown fields and parameters: refused with the nearest known name, or ignored by a setting.

use super::dialect_client::{DialectClient, Protocol};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::spec::Spec;
use serde_json::json;

/// Method, target, body, the misspelt name, and the suggestion.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

const MISSPELT: &[Row] = &[
    ("POST", "/session", r#"{"idle_timeout": 5}"#, "idle_timeout", "idle_timeout_seconds"),
    ("POST", "/v1/lock", r#"{"name":"a","lock_timeout":30}"#, "lock_timeout", "lock_timeout_seconds"),
    ("POST", "/v1/lock", r#"{"name":"a","waitTimeout":3}"#, "waitTimeout", "wait_timeout_seconds"),
    ("POST", "/v1/lock", r#"{"name":"a","meta":{}}"#, "meta", "metadata"),
    ("POST", "/v1/lock", r#"{"name":"a","requestid":"x"}"#, "requestid", "request_id"),
    ("POST", "/v1/lock?lock_timeout_seconds=30", r#"{"name":"a"}"#, "lock_timeout_seconds", "body"),
    ("POST", "/v1/unlock", r#"{"name":"a","keys":"x"}"#, "keys", "key"),
    ("POST", "/v1/renew", r#"{"name":"a","key":"k","lock_timeout":5}"#, "lock_timeout", "lock_timeout_seconds"),
    ("POST", "/v1/refreshlock", r#"{"name":"a","key":"k","timeout":5}"#, "timeout", "lock_timeout_seconds"),
    ("POST", "/lock", r#"{"resource":"a","tll":30}"#, "tll", "ttl"),
    ("POST", "/lock?ttl=30", r#"{"resource":"a"}"#, "ttl", "not known"),
    ("POST", "/unlock", r#"{"lockid":"a"}"#, "lockid", "lock_id"),
    ("POST", "/lock/a?ttl=30", "", "ttl", "POST /lock"),
    ("LOCK", "/terraform/a?ttl=30", r#"{"ID":"x"}"#, "ttl", "not known"),
    ("DELETE", "/terraform/a/lock?force=true", r#"{"ID":"x"}"#, "force", "not known"),
    ("GET", "/getlock?lockname=a&lifetme=5", "", "lifetme", "lifetime"),
    ("DELETE", "/releaselock?lockname=a&token=x&tokn=y", "", "tokn", "token"),
    ("GET", "/status?aut=x", "", "aut", "auth"),
    ("GET", "/v1/locks?prefx=a", "", "prefx", "prefix"),
    ("GET", "/v1/locks?prefix=a&prefix=b", "", "prefix", "given once"),
    ("GET", "/v1/locks?Held=true", "", "Held", "held"),
    ("GET", "/v1/locks/a?consistancy=stale", "", "consistancy", "consistency"),
    ("GET", "/v1/sessions?limits=5", "", "limits", "limit"),
    ("GET", "/v1/events?names=a", "", "names", "name"),
    ("GET", "/v1/cluster?node=1", "", "node", "not known"),
    ("GET", "/v1/backup?x=1", "", "x", "not known"),
    ("DELETE", "/v1/locks/a/holds/b?reson=x", "", "reson", "reason"),
    ("DELETE", "/v1/locks/a/holds/b", r#"{"raeson":"x"}"#, "raeson", "reason"),
    ("DELETE", "/v1/holds?name=a&key=b&resaon=x", "", "resaon", "reason"),
    ("DELETE", "/v1/holds?name=a&name=b&key=c", "", "name", "given once"),
    ("POST", "/v1/cluster/members", r#"{"node":2,"adress":"x"}"#, "adress", "address"),
];

#[test]
fn unknown_field_is_400_with_the_nearest_name() {
    let server = Spec::in_memory().start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    for (method, target, body, given, meant) in MISSPELT {
        let answer = client.send(method, target, body.as_bytes());
        let text = answer.text();
        assert_eq!(answer.status, 400, "{method} {target} {body}: {text}");
        assert!(text.contains(given) && text.contains(meant), "{method} {target} {body}: {text}");
    }
    assert_eq!(client.get("/v1/locks").json()["locks"], json!([]), "nothing was taken on the way");
}

#[test]
fn compat_setting_ignores_unknown_fields() {
    let server = Spec::in_memory().configuration("[compat]\nignore_unknown_fields = true\n").start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    let taken = client.send("POST", "/v1/lock?ttl=1", br#"{"name":"a","lock_timeout":30,"x":[{"y":null}]}"#).json();
    assert_eq!(taken["locked"], true, "{taken}");
    assert_eq!(client.get("/v1/locks?x=1&x=2&prefix=a").json()["locks"][0]["name"], "a");
    assert_eq!(client.get("/getlock?lockname=b&lifetme=5").json()["lockacquired"], true);
    assert_eq!(client.send("POST", "/session", b"name=value").status, 201);
    assert_eq!(client.send("POST", "/lock/c?ttl=1", b"").status, 200);
    assert_eq!(client.send("LOCK", "/terraform/d?ttl=1", br#"{"ID":"x"}"#).status, 200);
}

/// Parameters that clients of older servers may send and their servers never read.
#[test]
fn unrelated_query_parameters_are_ignored() {
    let server = Spec::in_memory().start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    assert_eq!(client.send("POST", "/v1/lock?_=1742", br#"{"name":"a"}"#).json()["locked"], true);
    assert_eq!(client.send("POST", "/lock/b?_=1742", br#"{"any":"body"}"#).status, 200);
    assert_eq!(client.send("POST", "/session", b"ignored").status, 201);
}

fn with_key(spec_client: Client, key: &str) -> Client {
    spec_client.with_header("Idempotency-Key", key)
}

#[test]
fn repeated_key_at_lock_by_name_gives_the_same_hold() {
    let server = Spec::in_memory().start();
    let mut client = with_key(Client::tls(&server), "by-name");
    let token = |answer: &Response| answer.header("fencing-token").map(str::to_owned);
    let first = client.send("POST", "/lock/kept", b"");
    assert_eq!(first.status, 200);
    let again = client.send("POST", "/lock/kept", b"");
    assert_eq!((again.status, token(&again)), (200, token(&first)), "a retry meets its own lock");
    assert_eq!(client.send("POST", "/lock/other", b"").status, 422, "another lock under the same key");
    assert_eq!(Client::tls(&server).send("POST", "/lock/kept", b"").status, 409);
    assert_eq!(client.delete("/lock/kept").status, 200);
    assert_eq!(client.send("POST", "/lock/kept", b"").status, 410, "it is never given a second time");
    let mut bad = with_key(Client::tls(&server), &"k".repeat(256));
    assert_eq!(bad.send("POST", "/lock/bad", b"").status, 400);
}

#[test]
fn repeated_key_at_getlock_gives_the_same_hold() {
    let server = Spec::in_memory().start();
    let mut client = with_key(Client::tls(&server), "get-lock");
    let first = client.get("/getlock?lockname=kept&lifetime=600").json();
    let again = client.get("/getlock?lockname=kept&lifetime=600").json();
    assert_eq!(first["lockacquired"], true);
    assert_eq!((&again["sessiontoken"], &again["fencing_token"]), (&first["sessiontoken"], &first["fencing_token"]));
    assert_eq!(client.get("/getlock?lockname=other&lifetime=600").status, 422, "another request under the same key");
    let other = Client::tls(&server).get("/getlock?lockname=kept").json();
    assert_eq!(other["lockacquired"], false);
}
