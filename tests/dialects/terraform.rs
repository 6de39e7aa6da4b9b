//! Terraform's dialect: the sequence of its commands, who holds, repeated requests, and forced unlocks.

use super::dialect_client::{DialectClient, Protocol, until};
use super::terraform_client::{BACKEND, Backend, LockError, StateServer, Terraform};
use crate::support::client::Client;
use crate::support::http::{Connection, encode};
use crate::support::process::Server;
use crate::support::spec::Spec;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// As Terraform has it by default, and as the users of other servers set it.
const BACKENDS: [Backend; 5] = [
    BACKEND,
    Backend { lock: ("PUT", "/terraform/net"), unlock: ("DELETE", "/terraform/net") },
    Backend { lock: ("POST", "/terraform/net/lock"), unlock: ("DELETE", "/terraform/net/lock") },
    Backend { lock: ("POST", "/terraform/net/lock"), unlock: ("POST", "/terraform/net/unlock") },
    Backend { lock: ("LOCK", "/terraform/net/lock"), unlock: ("UNLOCK", "/terraform/net/unlock") },
];

fn holders(server: &Server, name: &str) -> Vec<Value> {
    let listed = Client::tls(server).get(&format!("/v1/locks?name={name}")).json();
    listed["locks"][0]["holders"].as_array().cloned().unwrap_or_default()
}

#[test]
fn apply_locks_here_and_keeps_its_state_elsewhere() {
    let server = Spec::in_memory().start();
    for backend in BACKENDS {
        let (state, mut run) = (StateServer::start(), Terraform::new(&server, backend));
        assert_eq!(state.send("GET", "/net", "").status, 404, "there is no state yet");
        assert_eq!(run.lock(), Ok(()));
        assert_eq!(state.send("GET", "/net", "").status, 404);
        let write = format!("/net?ID={}", run.info["ID"].as_str().expect("an id"));
        assert_eq!(state.send("POST", &write, r#"{"version":4}"#).status, 200);
        let mut other = Terraform::new(&server, backend);
        assert_eq!(other.lock(), Err(LockError::Held(run.info.clone())), "{:?}", backend.lock);
        assert!(run.unlock());
        assert_eq!(state.asked(), ["GET /net", "GET /net", &format!("POST {write}")]);
        assert_eq!(state.send("GET", "/net", "").text(), r#"{"version":4}"#);
        assert!(other.lock() == Ok(()) && other.unlock(), "{:?}", backend.unlock);
    }
    assert!(holders(&server, "net").is_empty());
}

#[test]
fn lock_timeout_tries_until_the_holder_unlocks() {
    let server = Spec::in_memory().start();
    let (mut holder, mut waiter) = (Terraform::new(&server, BACKEND), Terraform::new(&server, BACKEND));
    assert_eq!(holder.lock(), Ok(()));
    let mut refusals = 0;
    let locked = waiter.lock_within(9, || {
        refusals += 1;
        if refusals == 3 {
            assert!(holder.unlock());
        }
    });
    assert_eq!((locked, refusals), (Ok(()), 3));
    assert!(matches!(holder.lock_within(2, || ()), Err(LockError::Held(info)) if info == waiter.info));
}

#[test]
fn repeated_lock_gets_its_own_hold() {
    let server = Spec::in_memory().start();
    let mut run = Terraform::new(&server, BACKEND);
    assert_eq!((run.lock(), run.lock()), (Ok(()), Ok(())));
    assert_eq!(holders(&server, "net").len(), 1);
    // The connection breaks after the request was sent, whether it is answered or not.
    let mut lost = Terraform::new(&server, Backend { lock: ("LOCK", "/terraform/lost"), ..BACKEND });
    let mut connection = Connection::tls(server.https()).expect("the server listens");
    let request = encode("LOCK", "/terraform/lost", &[], lost.info.to_string().as_bytes());
    connection.send(&request).expect("the request is taken");
    drop(connection);
    assert_eq!(lost.lock(), Ok(()));
    assert_eq!(holders(&server, "lost").len(), 1);
    assert!(run.unlock());
    assert!(!run.unlock(), "a second UNLOCK finds nothing");
}

#[test]
fn unlock_with_another_id_is_409_with_the_holder() {
    let server = Spec::in_memory().start();
    let (mut holder, mut other) = (Terraform::new(&server, BACKEND), Terraform::new(&server, BACKEND));
    let nothing = other.unlock_with(&other.info.to_string());
    assert_eq!((nothing.status, &nothing.json()["code"]), (409, &json!("not-owner")));
    assert_eq!(holder.lock(), Ok(()));
    let refused = other.unlock_with(&other.info.to_string());
    assert_eq!((refused.status, refused.json()), (409, holder.info.clone()));
    assert!(holder.unlock());
}

#[test]
fn holders_of_other_dialects_have_made_up_infos() {
    let server = Spec::in_memory().redis().configuration("[locks]\nkufuli_wait = \"0s\"\n").start();
    for protocol in Protocol::ALL.into_iter().filter(|protocol| *protocol != Protocol::Terraform) {
        let mut holder = DialectClient::new(protocol, &server);
        let hold = holder.take("net").expect("free");
        let mut run = Terraform::new(&server, BACKEND);
        let Err(LockError::Held(info)) = run.lock() else { panic!("{protocol:?} did not exclude") };
        assert_eq!(info["ID"], format!("latchd-{}", hold.token), "{protocol:?}");
        assert!(info["Who"].as_str().is_some_and(|who| !who.is_empty()), "{protocol:?}: {info}");
        // The made-up id opens nothing.
        assert_eq!(run.unlock_with(&json!({"ID": info["ID"]}).to_string()).status, 409);
        assert!(holder.give_back("net"), "{protocol:?}");
    }
}

#[test]
fn delay_without_a_holder_has_a_made_up_info_too() {
    let server = Spec::in_memory().start();
    let mut session = DialectClient::new(Protocol::SessionsV1, &server).client;
    let asked = json!({"name": "net", "lock_timeout_seconds": 0.05, "lock_delay_seconds": 600});
    assert_eq!(session.post("/v1/lock", &asked).json()["locked"], true);
    until("the lease to end", || holders(&server, "net").is_empty());
    let Err(LockError::Held(info)) = Terraform::new(&server, BACKEND).lock() else { panic!("it is delayed") };
    assert_eq!(info["Who"], "others", "{info}");
}

#[test]
fn id_alone_unlocks_as_opentofu_forces_it() {
    let server = Spec::in_memory().start();
    let (mut holder, mut operator) = (Terraform::new(&server, BACKEND), Terraform::new(&server, BACKEND));
    assert_eq!(holder.lock(), Ok(()));
    let only = |id: &Value| json!({"ID": id, "Operation": "", "Info": "", "Who": "", "Version": "", "Created": "0001-01-01T00:00:00Z", "Path": ""});
    assert_eq!(operator.unlock_with(&only(&json!("1b2c")).to_string()).status, 409);
    assert_eq!(operator.unlock_with(&only(&holder.info["ID"]).to_string()).status, 200);
    assert!(!holder.unlock());
}

#[test]
fn unlock_without_a_body_forces_where_allowed() {
    let strict = Spec::in_memory().start();
    let mut holder = Terraform::new(&strict, BACKEND);
    assert_eq!(holder.lock(), Ok(()));
    let refused = Terraform::new(&strict, BACKEND).unlock_with("");
    assert_eq!((refused.status, &refused.json()["config_key"]), (400, &json!("terraform.force_unlock")));
    assert!(holder.unlock());

    let digest: String = Sha256::digest("key of ci").iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("[access]\nkeys = [{{ name = \"ci\", sha256 = \"{digest}\", role = \"client\" }}]\n");
    let spec = Spec::in_memory().configuration(format!("{key}[terraform]\nforce_unlock = true\n"));
    let server = spec.api_key("key of an admin").start();
    let with = |key| Client::tls(&server).with_header("X-API-Key", key);
    let mut operator = Terraform::of(with("key of an admin"), BACKEND);
    assert_eq!(operator.unlock_with("").status, 409, "nothing is held");
    let mut holder = Terraform::of(with("key of ci"), BACKEND);
    assert_eq!(holder.lock(), Ok(()));
    let refused = Terraform::of(with("key of ci"), BACKEND).unlock_with("");
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("forbidden")));
    let forced = operator.unlock_with("");
    assert_eq!((forced.status, forced.json()), (200, holder.info.clone()));
    assert!(!holder.unlock());
    // What is held through another dialect is not Terraform's to end.
    let mut by_name = DialectClient::of(Protocol::LockByName, with("key of ci"));
    assert!(by_name.take("net").is_some());
    assert_eq!(operator.unlock_with("").status, 409);
    assert!(by_name.give_back("net"));
    let log = server.stop().stderr;
    assert!(log.contains("forced the release of \"net\""), "{log}");
}

#[test]
fn id_of_a_hold_is_no_client_id_of_raftlock() {
    use crate::support::grpc::GrpcClient;
    use latchd::dialects::raftlock::proto::{AcquireRequest, AcquireResponse, ReleaseRequest, ReleaseResponse};
    let server = Spec::in_memory().start();
    let mut run = Terraform::new(&server, BACKEND);
    assert_eq!(run.lock(), Ok(()));
    let (lock_id, client_id) = ("net".to_owned(), run.info["ID"].as_str().expect("an id").to_owned());
    let asked = AcquireRequest { lock_id: lock_id.clone(), client_id: client_id.clone(), ..Default::default() };
    let entered: AcquireResponse = GrpcClient::plain(&server).call("/raftlock.RaftLock/Acquire", asked).expect("OK");
    let asked = ReleaseRequest { lock_id, client_id, version: 1 };
    let ended: ReleaseResponse = GrpcClient::plain(&server).call("/raftlock.RaftLock/Release", asked).expect("OK");
    assert!(!entered.acquired && !ended.released);
    assert!(run.unlock());
}

#[test]
fn wrong_digest_of_the_body_is_refused() {
    let server = Spec::in_memory().start();
    let body = br#"{"ID":"x"}"#;
    for digest in ["", "x", "1B2M2Y8AsgTpgAmY7PhCfg=="] {
        let mut client = Client::tls(&server).with_header("Content-MD5", digest);
        let answer = client.send("LOCK", "/terraform/net", body);
        assert_eq!((answer.status, &answer.json()["field"]), (400, &json!("Content-MD5")), "{digest}");
    }
    assert!(holders(&server, "net").is_empty());
    assert_eq!(Client::tls(&server).send("LOCK", "/terraform/net", body).status, 200);
}

/// Terraform takes 404 and 204 for an empty state, and would create everything again.
#[test]
fn state_is_refused_with_advice() {
    let server = Spec::in_memory().start();
    let state = br#"{"version":4,"serial":1}"#;
    for (method, target) in [
        ("GET", "/terraform/net"),
        ("POST", "/terraform/net"),
        ("POST", "/terraform/net?ID=1b2c"),
        ("PUT", "/terraform/net?ID=1b2c"),
        ("DELETE", "/terraform/net?ID=1b2c"),
    ] {
        let answer = Client::tls(&server).send(method, target, if method == "GET" { b"" } else { state });
        assert_eq!(answer.status, 405, "{method} {target}");
        assert_eq!(answer.header("allow"), Some("LOCK, PUT, UNLOCK, DELETE"));
        assert!(
            answer.text().contains("stores no state") && answer.text().contains("lock_address"),
            "{}",
            answer.text()
        );
    }
    assert!(holders(&server, "net").is_empty());
}

#[test]
fn hold_without_lease_is_shown_as_such() {
    let endless = Spec::in_memory().start();
    let bounded = Spec::in_memory().configuration("[terraform]\nmax_hold = \"1h\"\n").start();
    for (server, has_lease) in [(&endless, false), (&bounded, true)] {
        let mut run = Terraform::new(server, BACKEND);
        assert_eq!(run.lock(), Ok(()));
        let [hold] = &holders(server, "net")[..] else { panic!("one holder") };
        assert_eq!(hold["remaining_seconds"].is_f64(), has_lease, "{hold}");
        assert_eq!((&hold["dialect"], &hold["metadata"]["Who"]), (&json!("terraform"), &run.info["Who"]));
        let page = Client::tls(server).with_header("Accept", "text/html").get("/").text();
        assert_eq!(page.contains("when released"), !has_lease);
        assert!(page.contains(run.info["ID"].as_str().expect("an id")) && page.contains("via Terraform"), "{page}");
    }
}

#[test]
fn slash_in_a_name_may_be_encoded_or_not() {
    let server = Spec::in_memory().start();
    let backend = Backend { lock: ("LOCK", "/terraform/a%2Fb"), unlock: ("UNLOCK", "/terraform/a/b") };
    let mut run = Terraform::new(&server, backend);
    assert_eq!(run.lock(), Ok(()));
    assert_eq!(holders(&server, "a%2Fb").len(), 1);
    assert!(run.unlock());
}

#[tokio::test]
async fn lock_over_http_2_is_the_same() {
    let server = Spec::in_memory().start();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
    let (url, body) = (format!("http://{}/terraform/net", server.http()), r#"{"ID":"x"}"#);
    for (method, expected) in [("LOCK", 200), ("LOCK", 200), ("UNLOCK", 200), ("UNLOCK", 409)] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = client.request(method.clone(), &url).body(body).send().await.expect("an answer");
        assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, expected), "{method}");
    }
}
