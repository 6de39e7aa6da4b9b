//! A session is of use to the credential that opened it; an idempotency key counts within its credential.

use crate::dialects::dialect_client::until;
use crate::support::client::Client;
use crate::support::grpc::GrpcClient;
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::dialects::ldlm::proto::{LockResponse, TryLockRequest};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const ADMIN: &str = "an admin of the tests";
const COOKIE: &str = "ldlm-session";

fn key(name: &str, secret: &str, rest: &str) -> String {
    let digest: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{ name = \"{name}\", sha256 = \"{digest}\", {rest} }}")
}

fn keys(secret_of_ci: &str) -> String {
    let keys = [
        key("ci", secret_of_ci, "role = \"client\""),
        key("other", "other", "role = \"client\""),
        key("part", "part", "role = \"client\", prefixes = [\"part/\"]"),
        key("chief-of-part", "chief-of-part", "role = \"admin\", prefixes = [\"part/\"]"),
        key("reader", "reader", "role = \"read-only\""),
    ];
    format!("[access]\nkeys = [{}]\n", keys.join(", "))
}

fn server() -> Server {
    Spec::in_memory().api_key(ADMIN).configuration(keys("ci")).start()
}

fn with(server: &Server, secret: &str) -> Client {
    Client::plain(server).with_header("X-API-Key", secret)
}

/// The same session, asked for with another credential.
fn borrowing(server: &Server, secret: &str, owner: &Client) -> Client {
    let mut client = with(server, secret);
    client.set_cookie(COOKIE, owner.cookie(COOKIE).expect("a cookie"));
    client
}

fn owner_with_a_hold(server: &Server) -> (Client, String) {
    let mut owner = with(server, "ci");
    assert_eq!(owner.post("/session", &json!({})).status, 201);
    let taken: Value = owner.post("/v1/lock", &json!({"name": "part/a", "lock_timeout_seconds": 600})).json();
    (owner, taken["key"].as_str().expect("a key").to_owned())
}

#[test]
fn session_with_another_credential_is_refused_and_keeps_holds() {
    let server = server();
    let (mut owner, hold) = owner_with_a_hold(&server);
    let (unlock, lease) = (json!({"name": "part/a", "key": hold}), json!({"name": "part/b"}));
    let renew = json!({"name": "part/a", "key": hold, "lock_timeout_seconds": 700});
    for secret in ["other", "part", "chief-of-part", "reader"] {
        let mut stranger = borrowing(&server, secret, &owner);
        let refused = [
            stranger.post("/v1/lock", &lease),
            stranger.post("/v1/unlock", &unlock),
            stranger.post("/v1/renew", &renew),
            stranger.get("/getlock?lockname=part/c"),
            stranger.delete("/session"),
        ];
        for answer in &refused {
            assert_eq!(answer.status, 403, "{secret}: {}", answer.text());
        }
        let words = "opened with another credential";
        let told = refused.iter().filter(|answer| answer.text().contains(words)).count();
        assert!(told == 5 || secret == "reader", "{secret}: {}", refused[0].text());
    }
    assert_eq!(owner.post("/v1/renew", &renew).json()["locked"], true, "nothing of it was touched");
    let mut admin = borrowing(&server, ADMIN, &owner);
    assert_eq!(admin.delete("/session").status, 200, "an admin may");
    // As after any other end by an operator, the history tells by whom.
    let ended: Value = with(&server, ADMIN).get("/v1/history?name=part/a").json();
    let ended = &ended["ended_holds"][0];
    assert_eq!(
        (&ended["end"], &ended["forced_by"]),
        (&json!("session-closed"), &json!("command-line-key-1")),
        "{ended}"
    );
    assert!(ended["reason"].as_str().is_some_and(|reason| reason.contains("DELETE of /session")), "{ended}");
}

#[test]
fn other_credential_does_not_renew_a_session() {
    let server = server();
    let mut owner = with(&server, "ci");
    assert_eq!(owner.post("/session", &json!({"idle_timeout_seconds": 1})).status, 201);
    let (mut stranger, mut admin) = (borrowing(&server, "other", &owner), with(&server, ADMIN));
    until("the session to end, however often it is presented", || {
        stranger.get("/lock/x");
        admin.get("/v1/sessions").json()["sessions"].as_array().is_some_and(Vec::is_empty)
    });
}

#[test]
fn renewed_key_keeps_sessions_of_its_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let spec = |secret: &str| Spec::durable(directory.path()).configuration(keys(secret)).api_key(ADMIN);
    let server = spec("ci").start();
    let (owner, hold) = owner_with_a_hold(&server);
    server.stop();
    let server = spec("the next").start();
    let mut next = borrowing(&server, "the next", &owner);
    let released = next.post("/v1/unlock", &json!({"name": "part/a", "key": hold}));
    assert_eq!(released.json()["unlocked"], true, "{}", released.text());
    assert_eq!(borrowing(&server, "other", &owner).delete("/session").status, 403, "kept over the restart");
}

#[test]
fn ldlm_connection_session_belongs_to_its_first_credential() {
    let server = server();
    let connection = GrpcClient::plain(&server);
    let take = |secret: &str, name: &str| -> LockResponse {
        let asked = TryLockRequest { name: name.into(), ..TryLockRequest::default() };
        connection.clone().with_metadata("x-api-key", secret).call("/ldlm.LDLM/TryLock", asked).expect("status OK")
    };
    assert!(take("ci", "a").locked);
    let refused = take("other", "b");
    let why = refused.error.expect("a reason").message;
    assert!(!refused.locked && why.contains("another credential"), "{why}");
    assert!(take("ci", "c").locked && take(ADMIN, "d").locked);
}

fn open_under(server: &Server, secret: Option<&str>, idempotency_key: &str) -> Value {
    let client = Client::plain(server).with_header("Idempotency-Key", idempotency_key);
    let mut client = match secret {
        Some(secret) => client.with_header("Authorization", &format!("Bearer {secret}")),
        None => client,
    };
    let opened = client.post("/session", &json!({}));
    assert_eq!(opened.status, 201, "{}", opened.text());
    opened.json()["session_id"].clone()
}

#[test]
fn idempotency_key_is_scoped_to_its_credential() {
    let password = latchd::access::hash_password("a password").expect("it can be hashed");
    let other = latchd::access::hash_password("another").expect("it can be hashed");
    let key = key("a-client", "a key", "role = \"client\"");
    let configuration = format!("[access]\nkeys = [{key}]\npasswords = [\"{password}\", \"{other}\"]\n");
    let server = Spec::in_memory().configuration(configuration).start();
    let sessions = ["a key", "a password", "another"].map(|secret| open_under(&server, Some(secret), "the same"));
    assert!(sessions[0] != sessions[1] && sessions[1] != sessions[2], "{sessions:?}");
    assert_eq!(open_under(&server, Some("a key"), "the same"), sessions[0], "a retry is given the same");
}

#[test]
fn anonymous_idempotency_key_reveals_no_session() {
    let server = Spec::in_memory().start();
    assert_ne!(open_under(&server, None, "guessed"), open_under(&server, None, "guessed"));
}
