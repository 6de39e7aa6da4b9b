//! Reading and repairing, the pages for people, the API document, probes and metrics, against the real binary.

mod cluster;
mod compression;
mod console;
mod contention;
mod credentials;
pub mod document;
mod elections;
mod errors;
mod events;
mod fencing;
mod force;
mod freezes;
mod history;
mod html;
mod listing;
pub mod names;
mod service;
mod sizes;

use crate::support::client::Client;
use crate::support::http::Response;
use serde_json::{Value, json};

/// A client with a session of its own.
fn with_session(mut client: Client) -> Client {
    let opened = client.post("/session", &json!({}));
    assert_eq!(opened.status, 201, "{}", opened.text());
    client
}

/// Takes a lock for a minute and gives its key.
fn lock(client: &mut Client, name: &str) -> String {
    let answer = client.post("/v1/lock", &json!({"name": name, "lock_timeout_seconds": 60}));
    let body = body(&answer);
    assert_eq!(body["locked"], true, "{body}");
    body["key"].as_str().expect("a key").to_owned()
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}

/// Checks that an answer is a problem document with this status and code, and gives it.
fn problem(response: &Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = body(response);
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], format!("/docs/errors#{code}"));
    assert!(problem["title"].is_string() && problem["detail"].is_string() && problem["retryable"].is_boolean());
    problem
}
