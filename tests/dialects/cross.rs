//! All dialects share one table: a lock held through one is held for all.

use super::dialect_client::{DialectClient, Protocol, in_the_way};
use crate::support::client::Client;
use crate::support::spec::Spec;
use serde_json::json;

#[test]
fn lock_of_one_dialect_is_held_in_all() {
    let server = Spec::in_memory().redis().configuration("[locks]\nkufuli_wait = \"0s\"\n").start();
    for holds in Protocol::ALL {
        for asks in Protocol::ALL {
            let name = format!("{holds:?}.{asks:?}");
            let (mut holder, mut asker) = (DialectClient::new(holds, &server), DialectClient::new(asks, &server));
            let first = holder.take(&name).expect("free");
            assert!(asker.take(&name).is_none(), "{name}");
            assert!(holder.give_back(&name), "{name}");
            let second = asker.take(&name).unwrap_or_else(|| panic!("{name} is free"));
            assert!(second.token > first.token, "{name}");
            assert!(asker.give_back(&name), "{name}");
        }
    }
}

#[test]
fn lock_by_name_releases_only_its_own_holds() {
    let server = Spec::in_memory().start();
    for protocol in Protocol::WAITING.into_iter().chain([Protocol::Terraform]) {
        let name = format!("not-yours-{protocol:?}");
        let (mut holder, mut by_name) =
            (DialectClient::new(protocol, &server), DialectClient::new(Protocol::LockByName, &server));
        holder.take(&name).expect("free");
        let answer = by_name.client.delete(&format!("/lock/{name}"));
        assert_eq!((answer.status, &*answer.text()), (404, "{\"error\":\"Not Found\"}\n"));
        assert_eq!(by_name.client.get(&format!("/lock/{name}")).status, 200, "still held");
        assert!(holder.give_back(&name));
    }
}

#[test]
fn lockds_generations_unlock_only_each_other() {
    let server = Spec::in_memory().start();
    let mut http = DialectClient::new(Protocol::LockByName, &server);
    let mut grpc = DialectClient::new(Protocol::LockdGrpc, &server);
    assert!(http.take("a").is_some() && grpc.give_back("a") && !http.give_back("a"));
    assert!(grpc.take("a").is_some() && http.give_back("a") && !grpc.give_back("a"));
    for protocol in [Protocol::SessionsV1, Protocol::LdlmGrpc, Protocol::Kufuli, Protocol::RaftLock] {
        let mut other = DialectClient::new(protocol, &server);
        assert!(other.take("a").is_some() && !grpc.give_back("a"), "{protocol:?}");
        assert!(other.give_back("a"), "{protocol:?}");
    }
}

#[test]
fn same_owner_name_in_two_dialects_is_two_owners() {
    use crate::support::grpc::GrpcClient;
    use latchd::dialects::{kufuli::proto as kufuli, raftlock::proto as raftlock};
    let server = Spec::in_memory().configuration("[locks]\nkufuli_wait = \"0s\"\n").start();
    let client = GrpcClient::plain(&server);
    let of_kufuli = kufuli::Request { resource: "a".into(), service_id: "me".into() };
    let of_raftlock =
        raftlock::AcquireRequest { lock_id: "a".into(), client_id: "me".into(), ..raftlock::AcquireRequest::default() };
    let taken: kufuli::Response = client.call("/api.Api/RequestLock", of_kufuli.clone()).expect("status OK");
    assert!(taken.success);
    let entered: raftlock::AcquireResponse =
        client.call("/raftlock.RaftLock/Acquire", of_raftlock.clone()).expect("status OK");
    assert!(!entered.acquired, "one dialect's owner re-entered another's hold");
    let released: kufuli::Response = client.call("/api.Api/ReleaseLock", of_kufuli.clone()).expect("status OK");
    assert!(released.success);
    let taken: raftlock::AcquireResponse = client.call("/raftlock.RaftLock/Acquire", of_raftlock).expect("status OK");
    assert!(taken.acquired);
    let stolen: kufuli::Response = client.call("/api.Api/ReleaseLock", of_kufuli).expect("status OK");
    assert!(!stolen.success);
}

#[test]
fn dialects_without_size_take_only_unused_semaphores() {
    let server = Spec::in_memory().start();
    let mut pool = DialectClient::new(Protocol::SessionsV1, &server);
    for protocol in [Protocol::GetLock, Protocol::LockUnlock, Protocol::LockByName, Protocol::Terraform] {
        let name = format!("pool-{protocol:?}");
        let held = pool.client.post("/v1/lock", &json!({"name": name, "size": 3})).json();
        assert_eq!(held["locked"], true);
        let mut other = DialectClient::new(protocol, &server);
        assert!(other.take(&name).is_none(), "{protocol:?} took a place in a semaphore");
        let key = held["key"].clone();
        assert_eq!(pool.client.post("/v1/unlock", &json!({"name": name, "key": key})).json()["unlocked"], true);
        assert!(other.take(&name).is_some(), "{protocol:?}: an idle size binds LDLM's clients only");
    }
}

#[test]
fn refusal_describes_holders_of_any_dialect() {
    let server = Spec::in_memory().start();
    let mut session = DialectClient::new(Protocol::SessionsV1, &server);
    let request = json!({"name": "seen", "lock_timeout_seconds": 60, "metadata": {"host": "web-1"}});
    let token = session.client.post("/v1/lock", &request).json()["fencing_token"].clone();
    let holder = in_the_way(&server, "seen").expect("held");
    assert_eq!(holder["metadata"], json!({"host": "web-1"}));
    assert_eq!(holder["fencing_token"], token);
    let remaining = holder["remaining_seconds"].as_f64().expect("a lease");
    assert!(remaining > 50.0 && remaining <= 60.0, "{remaining}");
    assert!(holder["held_for_seconds"].as_f64().expect("a number") >= 0.0);
    assert_eq!(in_the_way(&server, "free"), None);
    // Without a lease there is no remaining time.
    Client::tls(&server).send("POST", "/lock/endless", b"");
    assert_eq!(in_the_way(&server, "endless").expect("held")["remaining_seconds"], json!(null));
}
