//! Credentials in every dialect: all forms are accepted, each dialect has its own refusals, roles and prefixes apply.

use super::dialect_client::{DialectClient, Protocol, request};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

const ADMIN: &str = "admin-key-of-the-tests";
const PASSWORD: &str = "pass:word;::of the tests";

fn hex_digest(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn key(name: &str, role: &str, prefixes: &str) -> String {
    format!("{{ name = \"{name}\", sha256 = \"{}\", role = \"{role}\", prefixes = [{prefixes}] }}", hex_digest(name))
}

/// Three configured keys whose secrets are their names, an admin key, a password.
fn server() -> Server {
    let keys = [key("reader", "read-only", ""), key("builder", "client", "\"build-\""), key("anyone", "client", "")];
    let text = format!("[access]\nkeys = [{}]\nfailure_limit = 1000\n", keys.join(", "));
    Spec::in_memory().configuration(text).api_key(ADMIN).password(PASSWORD).start()
}

fn with_key(server: &Server, key: &str) -> Client {
    Client::tls(server).with_header("X-API-Key", key)
}

#[test]
fn credentials_in_every_form_work_in_every_dialect() {
    let server = server();
    let basic = |user: &str, secret: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{secret}")));
    let forms = [
        ("Authorization", basic("", PASSWORD)),
        ("Authorization", basic("anybody", ADMIN)),
        ("Authorization", format!("Bearer {ADMIN}")),
        ("Authorization", format!("Bearer {PASSWORD}")),
        ("X-API-Key", "anyone".to_owned()),
        ("X-API-Key", PASSWORD.to_owned()),
    ];
    for (at, (header, value)) in forms.iter().enumerate() {
        for protocol in Protocol::HTTP {
            let client = Client::tls(&server).with_header(header, value);
            let hold = DialectClient::of(protocol, client).take(&format!("form-{at}-{protocol:?}"));
            assert!(hold.is_some(), "{header} {at} {protocol:?}");
        }
    }
}

#[test]
fn wrong_credential_is_refused_in_each_dialects_shape() {
    let server = server();
    for credential in [None, Some("wrong")] {
        let mut client = match credential {
            None => Client::tls(&server),
            Some(wrong) => with_key(&server, wrong),
        };
        for (method, path) in [("POST", "/session"), ("DELETE", "/session"), ("POST", "/v1/lock"), ("GET", "/v1/renew")]
        {
            let answer = client.send(method, path, b"");
            assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Basic realm=\"Restricted\"")));
            assert_eq!((answer.text().len(), answer.header("content-length")), (0, Some("0")), "{method} {path}");
            assert_eq!(answer.header("content-type"), None);
        }
        assert_eq!(client.get("/getlock?lockname=a").status, 401);
        assert_eq!(client.get("/status").status, if credential.is_none() { 400 } else { 401 });
        let answer = client.post("/lock", &serde_json::json!({"resource": "a"}));
        let code = if credential.is_none() { "credential-missing" } else { "credential-wrong" };
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &code.into()));
        assert_eq!(client.post("/unlock", &serde_json::json!({"lock_id": "a"})).status, 401);
        for method in ["LOCK", "UNLOCK", "PUT", "DELETE"] {
            let answer = client.send(method, "/terraform/a", br#"{"ID":"x"}"#);
            assert_eq!((answer.status, &answer.json()["code"]), (401, &code.into()), "{method}");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Restricted\""));
        }
        for method in ["GET", "POST", "DELETE"] {
            let answer = client.send(method, "/lock/a", b"");
            assert!(answer.status == 401 && answer.json()["error"].is_string(), "{}", answer.text());
        }
    }
    let mut admin = with_key(&server, ADMIN);
    assert_eq!(admin.get("/status").json()["locks"], serde_json::json!([]), "nothing was taken");
}

#[test]
fn read_only_key_takes_nothing() {
    let server = server();
    let mut reader = with_key(&server, "reader");
    let opened = reader.send("POST", "/session", b"");
    assert_eq!((opened.status, &opened.json()["code"]), (403, &7.into()));
    for protocol in [Protocol::GetLock, Protocol::LockUnlock, Protocol::LockByName, Protocol::Terraform] {
        let (method, target, body) = request(protocol, "a", 60.0, None);
        let answer = reader.send(method, &target, body.as_bytes());
        assert_eq!(answer.status, 403, "{protocol:?}");
        assert!(answer.text().contains("right to take"), "{}", answer.text());
    }
    assert_eq!(reader.delete("/lock/a").status, 403);
    assert_eq!(reader.get("/lock/a").status, 404);
    assert_eq!(reader.get("/status").status, 200);
}

#[test]
fn prefix_limited_key_gets_the_missing_right_named() {
    let server = server();
    for protocol in Protocol::HTTP {
        let mut builder = DialectClient::of(protocol, with_key(&server, "builder"));
        let inside = format!("build-{protocol:?}");
        assert!(builder.take(&inside).is_some() && builder.give_back(&inside));
        let (method, target, body) = request(protocol, "deploy", 60.0, None);
        let answer = builder.client.send(method, &target, body.as_bytes());
        assert_eq!(answer.status, 403, "{protocol:?}");
        assert!(answer.text().contains("take") && answer.text().contains("deploy"), "{}", answer.text());
    }
    let mut builder = with_key(&server, "builder");
    assert_eq!(builder.get("/lock/deploy").status, 403);
    with_key(&server, ADMIN).get("/getlock?lockname=deploy");
    assert_eq!(builder.get("/status").json()["locks"], serde_json::json!([]), "names beyond its prefix are not shown");
}

#[test]
fn status_shows_tokens_to_admins_only() {
    let server = server();
    with_key(&server, "anyone").get("/getlock?lockname=secret");
    let token = |key: &str| with_key(&server, key).get("/status").json()["locks"][0]["sessiontoken"].clone();
    assert_eq!(token("anyone"), "");
    assert_eq!(token("reader"), "");
    assert_eq!(token(ADMIN).as_str().map(str::len), Some(32));
}

#[test]
fn repeated_failures_are_throttled_but_no_valid_key() {
    let server = Spec::in_memory().configuration("[access]\nfailure_limit = 3\n").api_key(ADMIN).start();
    let mut guesser = with_key(&server, "guess");
    let statuses: Vec<u16> = (0..5).map(|_| guesser.send("POST", "/session", b"").status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    for protocol in Protocol::HTTP {
        let (method, target, body) = request(protocol, "a", 60.0, None);
        let answer = guesser.send(method, &target, body.as_bytes());
        assert_eq!(answer.status, 429, "{protocol:?}: {}", answer.text());
        let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<u32>().ok());
        assert!(seconds.is_some_and(|seconds| seconds >= 1), "{protocol:?}");
        assert!(!answer.body.is_empty(), "{protocol:?}");
    }
    assert!(DialectClient::of(Protocol::SessionsV1, with_key(&server, ADMIN)).take("a").is_some());
}

#[test]
fn secrets_are_not_logged() {
    let server = Spec::in_memory().argument("--log-level").argument("trace").api_key(ADMIN).start();
    let mut client = Client::tls(&server);
    let taken = client.get(&format!("/getlock?lockname=logged&auth={ADMIN}")).json();
    let token = taken["sessiontoken"].as_str().expect("text").to_owned();
    client.delete(&format!("/releaselock?lockname=logged&token={token}&auth={ADMIN}"));
    let mut session = DialectClient::of(Protocol::SessionsV1, with_key(&server, ADMIN));
    session.take("logged");
    let cookie = session.client.cookie("ldlm-session").expect("a session").to_owned();
    let ended = server.stop();
    let logged = ended.stderr + &ended.stdout;
    for secret in [ADMIN, &*token, &*cookie] {
        assert!(!logged.contains(secret), "a secret was logged: {logged}");
    }
}
