//! Every verb of every dialect, asked by those who may not: nothing is done, nothing reaches the log, and an admin who asks
//! for the very same is served.

mod caller;
pub mod console;
mod own;
mod redis;
mod terraform;

use super::client_certificates::Authority;
use super::rights::{EXPIRED, KEY, PART, READER, keys, metric};
use crate::support::audit::Trail;
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::dialects::kufuli::proto::{Request as KufuliRequest, Response as KufuliResponse};
use latchd::dialects::ldlm::proto::{
    LockRequest, LockResponse, RenewRequest as LdlmRenew, TryLockRequest, UnlockRequest, UnlockResponse,
};
use latchd::dialects::lockd::proto::{LockName, LockResult, LockState};
use latchd::dialects::raftlock::proto::{
    AcquireRequest, AcquireResponse, BackoffAdviceRequest, BackoffAdviceResponse, CancelWaitRequest,
    CancelWaitResponse, EnqueueWaiterRequest, EnqueueWaiterResponse, GetLockInfoRequest, GetLockInfoResponse,
    GetLocksRequest, GetLocksResponse, ReleaseRequest, ReleaseResponse, RenewRequest, RenewResponse,
};
use prost_types::Duration;
use serde_json::{Value, json};

pub(super) use caller::Caller;

/// What a verb is asked with: the lock, and what an admin was given for it.
struct Asked<'a> {
    name: &'a str,
    /// The key, token, lock id or the like that opens the hold.
    proof: String,
    /// The session that holds.
    cookie: String,
}

type Prepare = fn(&mut Caller, &str) -> (String, String);
type Attempt = fn(&mut Caller, &Asked) -> bool;

struct Verb {
    what: &'static str,
    prepare: Prepare,
    attempt: Attempt,
    /// It only reads, so a read-only key may.
    reads: bool,
    /// It needs the admin role, and is in the audit log.
    administers: bool,
}

const fn changes(what: &'static str, prepare: Prepare, attempt: Attempt) -> Verb {
    Verb { what, prepare, attempt, reads: false, administers: false }
}

const fn reads(what: &'static str, prepare: Prepare, attempt: Attempt) -> Verb {
    Verb { what, prepare, attempt, reads: true, administers: false }
}

const fn administers(what: &'static str, prepare: Prepare, attempt: Attempt) -> Verb {
    Verb { what, prepare, attempt, reads: false, administers: true }
}

fn nothing(_: &mut Caller, _: &str) -> (String, String) {
    Default::default()
}

fn session(admin: &mut Caller, _: &str) -> (String, String) {
    assert_eq!(admin.http.post("/session", &json!({})).status, 201);
    (String::new(), admin.http.cookie("ldlm-session").expect("a cookie").to_owned())
}

fn held_by_session(admin: &mut Caller, name: &str) -> (String, String) {
    let (_, cookie) = session(admin, name);
    let taken = admin.http.post("/v1/lock", &json!({"name": name, "lock_timeout_seconds": 600})).json();
    (taken["key"].as_str().expect("a key").to_owned(), cookie)
}

fn held_in_get_lock(admin: &mut Caller, name: &str) -> (String, String) {
    let taken = admin.http.get(&format!("/getlock?lockname={name}&lifetime=600")).text();
    let taken: Value = serde_json::from_str(&taken).expect("JSON");
    (taken["sessiontoken"].as_str().expect("a token").to_owned(), String::new())
}

fn held_by_lock_id(admin: &mut Caller, name: &str) -> (String, String) {
    let taken = admin.http.post("/lock", &json!({"resource": name, "ttl": 600})).json();
    (taken["lock_id"].as_str().expect("an id").to_owned(), String::new())
}

fn held_by_name(admin: &mut Caller, name: &str) -> (String, String) {
    assert!(admin.asks("POST", &format!("/lock/{name}"), &Value::Null));
    Default::default()
}

fn held_in_ldlm(admin: &mut Caller, name: &str) -> (String, String) {
    let asked = TryLockRequest { name: name.into(), lock_timeout_seconds: Some(600), ..Default::default() };
    let taken: LockResponse = admin.grpc.call("/ldlm.LDLM/TryLock", asked).expect("OK");
    (taken.key, String::new())
}

fn kufuli(caller: &mut Caller, path: &'static str, name: &str) -> bool {
    let asked = KufuliRequest { resource: name.into(), service_id: "me".into() };
    caller.grpc.call(path, asked).is_ok_and(|answer: KufuliResponse| answer.success)
}

fn held_in_kufuli(admin: &mut Caller, name: &str) -> (String, String) {
    assert!(kufuli(admin, "/api.Api/RequestLock", name));
    Default::default()
}

fn lockd(caller: &mut Caller, path: &'static str, name: &str) -> bool {
    let asked = LockName { name: name.into() };
    caller.grpc.call(path, asked).is_ok_and(|answer: LockResult| answer.success)
}

fn held_in_raftlock(admin: &mut Caller, name: &str) -> (String, String) {
    let asked =
        AcquireRequest { lock_id: name.into(), client_id: "me".into(), ttl: seconds(200), ..Default::default() };
    let taken: AcquireResponse = admin.grpc.call("/raftlock.RaftLock/Acquire", asked).expect("OK");
    (taken.lock.expect("a lock").version.to_string(), String::new())
}

pub(super) fn waited_for_in_raftlock(admin: &mut Caller, name: &str) -> (String, String) {
    let taken = held_in_raftlock(admin, name);
    assert!(enqueue(admin, &Asked { name, proof: String::new(), cookie: String::new() }));
    taken
}

fn enqueue(caller: &mut Caller, asked: &Asked) -> bool {
    let asked = EnqueueWaiterRequest {
        lock_id: asked.name.into(),
        client_id: "other".into(),
        timeout: seconds(200),
        ..Default::default()
    };
    caller
        .grpc
        .call("/raftlock.RaftLock/EnqueueWaiter", asked)
        .is_ok_and(|answer: EnqueueWaiterResponse| answer.enqueued)
}

fn seconds(seconds: i64) -> Option<Duration> {
    Some(Duration { seconds, nanos: 0 })
}

fn ldlm_renew(caller: &mut Caller, path: &'static str, asked: &Asked) -> bool {
    let asked = LdlmRenew { name: asked.name.into(), key: asked.proof.clone(), lock_timeout_seconds: 600 };
    caller.grpc.call(path, asked).is_ok_and(|answer: LockResponse| answer.locked)
}

fn renewed(caller: &mut Caller, path: &str, asked: &Asked) -> bool {
    let body = json!({"name": asked.name, "key": asked.proof, "lock_timeout_seconds": 600});
    caller.in_session(&asked.cookie).asks("POST", path, &body)
}

fn shared_by_session(admin: &mut Caller, name: &str) -> (String, String) {
    let (_, cookie) = session(admin, name);
    let taken = admin.http.post("/v1/lock", &json!({"name": name, "mode": "shared"})).json();
    (taken["key"].as_str().expect("a key").to_owned(), cookie)
}

fn changed(caller: &mut Caller, path: &str, asked: &Asked) -> bool {
    let body = json!({"name": asked.name, "key": asked.proof});
    caller.in_session(&asked.cookie).asks("POST", path, &body)
}

const SESSIONS_V1: [Verb; 9] = [
    changes("DELETE /session", session, |caller, asked| {
        caller.in_session(&asked.cookie).asks("DELETE", "/session", &Value::Null)
    }),
    changes("POST /v1/lock", session, |caller, asked| {
        let body = json!({"name": asked.name, "lock_timeout_seconds": 600});
        caller.in_session(&asked.cookie).asks("POST", "/v1/lock", &body)
    }),
    changes("POST /v1/lock of several names", session, |caller, asked| {
        caller.in_session(&asked.cookie).asks("POST", "/v1/lock", &json!({"names": ["part/own", asked.name]}))
    }),
    changes("POST /v1/downgrade", held_by_session, |caller, asked| changed(caller, "/v1/downgrade", asked)),
    changes("POST /v1/upgrade", shared_by_session, |caller, asked| changed(caller, "/v1/upgrade", asked)),
    changes("POST /v1/transfer", held_by_session, |caller, asked| {
        let body = json!({"name": asked.name, "key": asked.proof, "to_session": asked.cookie});
        caller.in_session(&asked.cookie).asks("POST", "/v1/transfer", &body)
    }),
    changes("POST /v1/unlock", held_by_session, |caller, asked| {
        let body = json!({"name": asked.name, "key": asked.proof});
        caller.in_session(&asked.cookie).asks("POST", "/v1/unlock", &body)
    }),
    changes("POST /v1/renew", held_by_session, |caller, asked| renewed(caller, "/v1/renew", asked)),
    changes("POST /v1/refreshlock", held_by_session, |caller, asked| renewed(caller, "/v1/refreshlock", asked)),
];

const OTHER_HTTP: [Verb; 7] = [
    changes("GET /getlock", nothing, |caller, asked| {
        caller.asks("GET", &format!("/getlock?lockname={}&lifetime=600", asked.name), &Value::Null)
    }),
    changes("DELETE /releaselock", held_by_session, |caller, asked| {
        let token = asked.proof.replace('-', "");
        caller.asks("DELETE", &format!("/releaselock?lockname={}&token={token}", asked.name), &Value::Null)
    }),
    changes("POST /lock", nothing, |caller, asked| {
        caller.asks("POST", "/lock", &json!({"resource": asked.name, "ttl": 600}))
    }),
    changes("POST /unlock", held_by_lock_id, |caller, asked| {
        caller.asks("POST", "/unlock", &json!({"lock_id": asked.proof}))
    }),
    changes("POST /lock/{name}", nothing, |caller, asked| {
        caller.asks("POST", &format!("/lock/{}", asked.name), &Value::Null)
    }),
    changes("DELETE /lock/{name}", held_by_name, |caller, asked| {
        caller.asks("DELETE", &format!("/lock/{}", asked.name), &Value::Null)
    }),
    reads("GET /lock/{name}", held_by_name, |caller, asked| {
        caller.asks("GET", &format!("/lock/{}", asked.name), &Value::Null)
    }),
];

const LDLM: [Verb; 5] = [
    changes("ldlm Lock", nothing, |caller, asked| {
        let asked = LockRequest { name: asked.name.into(), lock_timeout_seconds: Some(600), ..Default::default() };
        caller.grpc.call("/ldlm.LDLM/Lock", asked).is_ok_and(|answer: LockResponse| answer.locked)
    }),
    changes("ldlm TryLock", nothing, |caller, asked| {
        let asked = TryLockRequest { name: asked.name.into(), ..Default::default() };
        caller.grpc.call("/ldlm.LDLM/TryLock", asked).is_ok_and(|answer: LockResponse| answer.locked)
    }),
    changes("ldlm Unlock", held_in_ldlm, |caller, asked| {
        let asked = UnlockRequest { name: asked.name.into(), key: asked.proof.clone() };
        caller.grpc.call("/ldlm.LDLM/Unlock", asked).is_ok_and(|answer: UnlockResponse| answer.unlocked)
    }),
    changes("ldlm Renew", held_in_ldlm, |caller, asked| ldlm_renew(caller, "/ldlm.LDLM/Renew", asked)),
    changes("ldlm RefreshLock", held_in_ldlm, |caller, asked| ldlm_renew(caller, "/ldlm.LDLM/RefreshLock", asked)),
];

const KUFULI_AND_LOCKD: [Verb; 5] = [
    changes("kufuli RequestLock", nothing, |caller, asked| kufuli(caller, "/api.Api/RequestLock", asked.name)),
    changes("kufuli ReleaseLock", held_in_kufuli, |caller, asked| kufuli(caller, "/api.Api/ReleaseLock", asked.name)),
    changes("lockd Lock", nothing, |caller, asked| lockd(caller, "/lockapi.Locking/Lock", asked.name)),
    changes("lockd Unlock", held_by_name, |caller, asked| lockd(caller, "/lockapi.Locking/Unlock", asked.name)),
    reads("lockd IsLocked", held_by_name, |caller, asked| {
        let asked = LockName { name: asked.name.into() };
        caller.grpc.call("/lockapi.Locking/IsLocked", asked).is_ok_and(|answer: LockState| answer.is_locked)
    }),
];

const RAFTLOCK: [Verb; 8] = [
    changes("raftlock Acquire", nothing, |caller, asked| {
        let asked = AcquireRequest { lock_id: asked.name.into(), client_id: "me".into(), ..Default::default() };
        caller.grpc.call("/raftlock.RaftLock/Acquire", asked).is_ok_and(|answer: AcquireResponse| answer.acquired)
    }),
    changes("raftlock Release", held_in_raftlock, |caller, asked| {
        let version = asked.proof.parse().expect("a number");
        let asked = ReleaseRequest { lock_id: asked.name.into(), client_id: "me".into(), version };
        caller.grpc.call("/raftlock.RaftLock/Release", asked).is_ok_and(|answer: ReleaseResponse| answer.released)
    }),
    changes("raftlock Renew", held_in_raftlock, |caller, asked| {
        let version = asked.proof.parse().expect("a number");
        let (lock_id, client_id) = (asked.name.into(), "me".into());
        let asked = RenewRequest { lock_id, client_id, version, new_ttl: seconds(200) };
        caller.grpc.call("/raftlock.RaftLock/Renew", asked).is_ok_and(|answer: RenewResponse| answer.renewed)
    }),
    changes("raftlock EnqueueWaiter", held_in_raftlock, enqueue),
    changes("raftlock CancelWait", waited_for_in_raftlock, |caller, asked| {
        let asked = CancelWaitRequest { lock_id: asked.name.into(), client_id: "other".into(), ..Default::default() };
        caller
            .grpc
            .call("/raftlock.RaftLock/CancelWait", asked)
            .is_ok_and(|answer: CancelWaitResponse| answer.cancelled)
    }),
    reads("raftlock GetLockInfo", held_in_raftlock, |caller, asked| {
        let asked = GetLockInfoRequest { lock_id: asked.name.into(), include_waiters: true };
        let answer = caller.grpc.call("/raftlock.RaftLock/GetLockInfo", asked);
        answer.is_ok_and(|answer: GetLockInfoResponse| answer.lock_info.is_some())
    }),
    reads("raftlock GetLocks", held_in_raftlock, |caller, asked| {
        let name = asked.name;
        let answer = caller.grpc.call("/raftlock.RaftLock/GetLocks", GetLocksRequest::default());
        answer.is_ok_and(|answer: GetLocksResponse| {
            answer.total_matching_filter > 0 && answer.locks.iter().any(|lock| lock.lock_id == name)
        })
    }),
    reads("raftlock GetBackoffAdvice", held_in_raftlock, |caller, asked| {
        let asked = BackoffAdviceRequest { lock_id: asked.name.into() };
        let answer = caller.grpc.call("/raftlock.RaftLock/GetBackoffAdvice", asked);
        answer.is_ok_and(|answer: BackoffAdviceResponse| answer.advice.is_some())
    }),
];

/// What an observer without rights could change: commands in the log, and what there is.
fn state(server: &Server) -> Vec<String> {
    let numbers = ["latchd_commands_total", "latchd_holds", "latchd_waiters", "latchd_sessions"];
    numbers.iter().map(|name| format!("{name} {}", metric(server, &format!("{name} ")))).collect()
}

fn check(verbs: &[Verb]) {
    // So many sent without a secret are no guesses, but those with a wrong one would be.
    let trail = Trail::new();
    let audit = trail.configuration("refuse", "1MiB");
    let (authority, home) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    let ca = home.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("written");
    let tls = format!("[tls]\nclient_ca = {ca:?}\nclient_auth = \"optional\"\n");
    let configuration = format!("{}[terraform]\nforce_unlock = true\n{tls}{audit}", keys());
    let server = Spec::in_memory().api_key(KEY).configuration(configuration).start();
    // LDLM's sessions end with their connections, which is a change of its own.
    let mut admins = Vec::new();
    let recorded = || trail.lines().iter().filter(|line| line["outcome"] == "done").count();
    for (at, verb) in verbs.iter().enumerate() {
        let (name, mut admin) = (format!("verb{at}"), Caller::new(&server, Some(KEY)));
        let (proof, cookie) = (verb.prepare)(&mut admin, &name);
        let asked = Asked { name: &name, proof, cookie };
        let (before, recorded_before) = (state(&server), recorded());
        for (who, secret) in [("nobody", None), ("read-only", Some(READER)), ("another prefix", Some(PART))] {
            let may = verb.reads && who == "read-only";
            let mut caller = Caller::new(&server, secret);
            for _ in 0..3 {
                assert_eq!((verb.attempt)(&mut caller, &asked), may, "{} by {who}", verb.what);
            }
            assert!(
                caller.http.cookie("ldlm-session").is_none_or(|own| own == asked.cookie),
                "{}: a session",
                verb.what
            );
            assert_eq!(state(&server), before, "{} by {who} left something behind", verb.what);
        }
        // What they show was good once, or is good for something else.
        let ended = Caller::new(&server, Some(EXPIRED));
        for (who, mut caller) in [("an expired key", ended), ("a certificate", Caller::unmapped(&server, &authority))] {
            assert!(!(verb.attempt)(&mut caller, &asked), "{} by {who}", verb.what);
            assert_eq!(state(&server), before, "{} by {who} left something behind", verb.what);
        }
        assert!((verb.attempt)(&mut admin, &asked), "{} by an admin", verb.what);
        let is_recorded = recorded() - recorded_before;
        assert_eq!(is_recorded, usize::from(verb.administers), "{} in the audit log", verb.what);
        admins.push(admin);
    }
}

#[test]
fn session_requests_need_the_right_role() {
    check(&SESSIONS_V1);
}

#[test]
fn other_http_dialects_need_the_right_role() {
    check(&OTHER_HTTP);
}

#[test]
fn ldlm_needs_the_right_role() {
    check(&LDLM);
}

#[test]
fn kufuli_and_lockd_need_the_right_role() {
    check(&KUFULI_AND_LOCKD);
}

#[test]
fn raftlock_needs_the_right_role() {
    check(&RAFTLOCK);
}

#[test]
fn read_only_callers_open_no_session() {
    let server = Spec::in_memory().api_key(KEY).configuration(keys()).start();
    let before = state(&server);
    for secret in [None, Some(READER)] {
        let mut caller = Caller::new(&server, secret);
        assert!(!caller.asks("POST", "/session", &json!({})));
        assert!(caller.http.cookie("ldlm-session").is_none());
    }
    assert_eq!(state(&server), before);
    assert!(Caller::new(&server, Some(PART)).asks("POST", "/session", &json!({})), "a session names no lock yet");
}
