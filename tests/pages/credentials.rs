//! Roles and name prefixes of credentials.

use super::{body, lock, problem, with_session};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use serde_json::json;
use sha2::{Digest, Sha256};

fn sha256(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn server() -> Server {
    Spec::in_memory().configuration(keys()).start()
}

/// A configuration with a key for each role, and one for some names.
pub(super) fn keys() -> String {
    let key = |name: &str, role: &str, prefixes: &str| {
        format!("{{ name = \"{name}\", sha256 = \"{}\", role = \"{role}\", prefixes = [{prefixes}] }}", sha256(name))
    };
    let keys = [
        key("boss", "admin", ""),
        key("worker", "client", ""),
        key("reader", "read-only", ""),
        key("build", "admin", "\"build/\", \"ops/x\""),
    ];
    format!("[access]\nkeys = [{}]\n", keys.join(", "))
}

pub(super) fn client(server: &Server, key: &str) -> Client {
    Client::tls(server).with_header("X-API-Key", key)
}

#[test]
fn only_admins_see_keys_and_force_releases() {
    let server = server();
    let mut worker = with_session(client(&server, "worker"));
    let key = lock(&mut worker, "job");
    let target = format!("/v1/locks/job/holds/{key}?reason=x");
    for name in ["worker", "reader"] {
        let mut caller = client(&server, name);
        let shown = body(&caller.get("/v1/locks/job"));
        assert_eq!(shown["holders"][0].get("key"), None, "{name}");
        problem(&caller.delete(&target), 403, "forbidden");
    }
    let shown = body(&client(&server, "boss").get("/v1/locks"));
    assert_eq!(shown["locks"][0]["holders"][0]["key"], json!(key));
    assert_eq!(client(&server, "boss").delete(&target).status, 200);
}

#[test]
fn limited_credential_sees_its_names_only() {
    let server = server();
    let mut worker = with_session(client(&server, "worker"));
    let mut all: Vec<String> = (0..4).map(|n| format!("build/{n}")).collect();
    all.extend(["ops/x", "ops/x1"].map(String::from));
    all.iter().chain(&["apple".to_owned(), "ops/y".to_owned(), "zebra".to_owned()]).for_each(|name| {
        lock(&mut worker, name);
    });
    let mut limited = client(&server, "build");
    for limit in [1, 2, 3, 100] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = body(&limited.get(&format!("/v1/locks?limit={limit}{cursor}")));
            let locks = page["locks"].as_array().expect("locks");
            seen.extend(locks.iter().map(|lock| lock["name"].as_str().expect("a name").to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, all, "limit {limit}");
    }
    assert_eq!(body(&limited.get("/v1/locks?prefix=zebra"))["locks"], json!([]));
    problem(&limited.get("/v1/locks/zebra"), 403, "forbidden");
    problem(&limited.get("/v1/sessions"), 403, "forbidden");
    problem(&limited.delete("/v1/locks/zebra/holds/x?reason=x"), 403, "forbidden");
    let page = limited.get("/").text();
    assert!(page.contains("build/0") && !page.contains("zebra"), "{page}");
    assert!(!page.contains("Sessions"), "sessions belong to the whole service");
}

#[test]
fn wrong_credential_is_a_problem_with_a_challenge() {
    let server = server();
    let mut nobody = Client::tls(&server);
    let mut wrong = client(&server, "guess");
    for target in ["/v1/locks", "/v1/locks/a", "/v1/sessions", "/metrics"] {
        let missing = nobody.get(target);
        problem(&missing, 401, "credential-missing");
        assert!(missing.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));
        problem(&wrong.get(target), 401, "credential-wrong");
    }
}
