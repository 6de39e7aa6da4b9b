//! `raftlock.RaftLock`: all ten calls.

use crate::support::grpc::{GrpcClient, refusal, runtime};
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::dialects::raftlock::proto::*;
use prost_types::Duration as Span;
use std::collections::BTreeMap;
use tonic::{Code, Status};

fn server() -> (Server, GrpcClient) {
    let server = Spec::in_memory().start();
    let client = GrpcClient::plain(&server);
    (server, client)
}

fn seconds(seconds: i64) -> Option<Span> {
    Some(Span { seconds, nanos: 0 })
}

fn asks(lock: &str, client: &str) -> AcquireRequest {
    AcquireRequest { lock_id: lock.into(), client_id: client.into(), ttl: seconds(60), ..AcquireRequest::default() }
}

fn acquire(client: &GrpcClient, request: AcquireRequest) -> AcquireResponse {
    client.call("/raftlock.RaftLock/Acquire", request).expect("status OK")
}

fn taken(client: &GrpcClient, lock: &str, owner: &str) -> Lock {
    acquire(client, asks(lock, owner)).lock.unwrap_or_else(|| panic!("{lock} was not free"))
}

fn release(client: &GrpcClient, lock: &str, owner: &str, version: i64) -> ReleaseResponse {
    let request = ReleaseRequest { lock_id: lock.into(), client_id: owner.into(), version };
    client.call("/raftlock.RaftLock/Release", request).expect("status OK")
}

fn enqueue(client: &GrpcClient, lock: &str, owner: &str, priority: i32) -> EnqueueWaiterResponse {
    let request = EnqueueWaiterRequest {
        lock_id: lock.into(),
        client_id: owner.into(),
        timeout: seconds(60),
        priority,
        version: 0,
    };
    client.call("/raftlock.RaftLock/EnqueueWaiter", request).expect("status OK")
}

fn info(client: &GrpcClient, lock: &str) -> GetLockInfoResponse {
    let request = GetLockInfoRequest { lock_id: lock.into(), include_waiters: true };
    client.call("/raftlock.RaftLock/GetLockInfo", request).expect("status OK")
}

fn code(error: Option<ErrorDetail>) -> ErrorCode {
    error.expect("an error").code()
}

#[test]
fn owner_keeps_its_hold_and_gets_higher_versions() {
    let (_server, client) = server();
    let metadata = BTreeMap::from([("host".to_owned(), "web-1".to_owned())]);
    let first = acquire(&client, AcquireRequest { metadata: metadata.clone(), ..asks("a", "me") });
    let first = first.lock.expect("free");
    assert_eq!((&*first.lock_id, &*first.owner_id, &first.metadata), ("a", "me", &metadata));
    let again = taken(&client, "a", "me");
    assert!(again.version > first.version);
    assert_eq!((again.acquired_at.is_some(), again.metadata), (true, metadata), "what was said once stays");
    let shorter = acquire(&client, AcquireRequest { ttl: seconds(1), ..asks("a", "me") }).lock.expect("own");
    let (before, after) = (again.expires_at.expect("a lease"), shorter.expires_at.expect("a lease"));
    assert!((after.seconds - before.seconds).abs() <= 1, "a lease is never shortened by asking again");
    assert_eq!(code(release(&client, "a", "me", again.version).error), ErrorCode::VersionMismatch);
    assert!(release(&client, "a", "me", shorter.version).released);
}

#[test]
fn repeated_request_id_gives_the_same_hold() {
    let (_server, client) = server();
    let with_id = |owner: &str| AcquireRequest { request_id: "once".into(), ..asks("a", owner) };
    let first = acquire(&client, with_id("me")).lock.expect("free");
    let again = acquire(&client, with_id("me")).lock.expect("the same");
    assert_eq!((again.version, &again.owner_id), (first.version, &first.owner_id));
    assert_eq!(code(acquire(&client, with_id("you")).error), ErrorCode::LockHeld, "another client's id is another");
    let other = AcquireRequest { priority: 7, ..with_id("me") };
    let answer = client.call::<_, AcquireResponse>("/raftlock.RaftLock/Acquire", other);
    assert_eq!(refusal(answer).0, Code::InvalidArgument, "one id for two requests");
    assert!(release(&client, "a", "me", first.version).released);
    assert_eq!(code(acquire(&client, with_id("me")).error), ErrorCode::LockNotHeld, "never granted again");
}

#[test]
fn refusals_are_in_the_answer() {
    let (_server, client) = server();
    let version = taken(&client, "a", "me").version;
    let refused = acquire(&client, asks("a", "you"));
    assert_eq!((refused.acquired, refused.lock), (false, None));
    let error = refused.error.expect("an error");
    assert_eq!((error.code(), &*error.message), (ErrorCode::LockHeld, "lockmanager: lock is already held"));
    let advice = refused.backoff_advice.expect("advice");
    assert!(advice.initial_backoff.is_some() && advice.multiplier == 1.5 && advice.jitter_factor == 0.2);
    assert_eq!(code(release(&client, "a", "you", version).error), ErrorCode::NotLockOwner);
    assert_eq!(code(release(&client, "free", "me", 1).error), ErrorCode::LockNotHeld);
    assert_eq!(code(info(&client, "free").error), ErrorCode::LockNotFound);
    let cancel = CancelWaitRequest { lock_id: "a".into(), client_id: "you".into(), version: 0 };
    let cancelled: CancelWaitResponse = client.call("/raftlock.RaftLock/CancelWait", cancel).expect("status OK");
    assert_eq!((cancelled.cancelled, code(cancelled.error)), (false, ErrorCode::NotWaiting));
}

#[test]
fn renewal_keeps_the_version_and_sets_the_ttl() {
    let (_server, client) = server();
    let lock = taken(&client, "a", "me");
    let renew = |owner: &str, version| -> RenewResponse {
        let request = RenewRequest { lock_id: "a".into(), client_id: owner.into(), version, new_ttl: seconds(3600) };
        client.call("/raftlock.RaftLock/Renew", request).expect("status OK")
    };
    let renewed = renew("me", lock.version);
    let after = renewed.lock.expect("the lock");
    assert!(renewed.renewed && after.version == lock.version);
    assert!(after.expires_at.expect("a lease").seconds > lock.expires_at.expect("a lease").seconds + 3000);
    assert_eq!(code(renew("me", lock.version + 1).error), ErrorCode::VersionMismatch);
    assert_eq!(code(renew("you", lock.version).error), ErrorCode::NotLockOwner);
}

#[test]
fn wait_ends_with_the_lock_or_its_timeout() {
    let (_server, client) = server();
    let version = taken(&client, "a", "me").version;
    let waits = AcquireRequest { wait: true, wait_timeout: seconds(1), ..asks("a", "late") };
    let late = acquire(&client, waits);
    assert_eq!((late.acquired, code(late.error)), (false, ErrorCode::Timeout));
    assert!(late.estimated_wait_duration.is_some());
    let waiter = client.clone();
    let waits = AcquireRequest { wait: true, wait_timeout: seconds(30), ..asks("a", "you") };
    let waiting =
        runtime().spawn(async move { waiter.begin::<_, AcquireResponse>("/raftlock.RaftLock/Acquire", waits).await });
    crate::dialects::dialect_client::until("the wait", || {
        info(&client, "a").lock_info.is_some_and(|a| a.waiter_count == 1)
    });
    let released = release(&client, "a", "me", version);
    assert!(released.released && released.waiter_promoted);
    let granted = runtime().block_on(waiting).expect("no panic").expect("status OK");
    assert!(granted.lock.expect("granted").version > version);
}

#[test]
fn enqueued_waiters_are_granted_by_priority() {
    let (_server, client) = server();
    let version = taken(&client, "a", "me").version;
    assert_eq!(enqueue(&client, "a", "low", 0).position, 0);
    assert_eq!(enqueue(&client, "a", "high", 10).position, 0);
    assert_eq!(enqueue(&client, "a", "low", 0).position, 1, "asking again keeps one place");
    let own = enqueue(&client, "a", "me", 0);
    assert_eq!((own.enqueued, own.position), (false, 0), "the holder has nothing to wait for");
    let error = own.error.expect("why");
    assert_eq!(
        (error.code(), &*error.message),
        (ErrorCode::LockHeld, "lockmanager: lock is already held by this client")
    );
    let waiters = info(&client, "a").lock_info.expect("held").waiters_info;
    let seen: Vec<_> = waiters.iter().map(|w| (&*w.client_id, w.priority, w.position)).collect();
    assert_eq!(seen, [("high", 10, 0), ("low", 0, 1)]);
    assert!(waiters.iter().all(|waiter| waiter.enqueued_at.is_some() && waiter.timeout_at.is_some()));
    assert_eq!(acquire(&client, asks("a", "low")).queue_position, 1);
    let released = release(&client, "a", "me", version);
    assert!(released.released && released.waiter_promoted);
    assert_eq!(info(&client, "a").lock_info.expect("held").owner_id, "high");
    let collected = taken(&client, "a", "high");
    assert!(collected.version > version);
    let cancel = CancelWaitRequest { lock_id: "a".into(), client_id: "low".into(), version: 0 };
    let cancelled: CancelWaitResponse = client.call("/raftlock.RaftLock/CancelWait", cancel).expect("status OK");
    assert!(cancelled.cancelled);
    assert!(!release(&client, "a", "high", collected.version).waiter_promoted, "nobody is left");
}

#[test]
fn listings_filter_by_wildcards_and_metadata() {
    let (_server, client) = server();
    for name in ["build/1", "build/2", "build/10", "deploy"] {
        let metadata = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        assert!(acquire(&client, AcquireRequest { metadata, ..asks(name, &format!("owner-of-{name}")) }).acquired);
    }
    enqueue(&client, "deploy", "waits", 0);
    let list = |filter: LockFilter, limit, offset| -> GetLocksResponse {
        let request = GetLocksRequest { filter: Some(filter), limit, offset, include_waiters: true };
        client.call("/raftlock.RaftLock/GetLocks", request).expect("status OK")
    };
    let names =
        |answer: &GetLocksResponse| -> Vec<String> { answer.locks.iter().map(|lock| lock.lock_id.clone()).collect() };
    let pattern = |pattern: &str| LockFilter { lock_id_pattern: pattern.into(), ..LockFilter::default() };
    assert_eq!(names(&list(pattern("build/?"), 0, 0)), ["build/1", "build/2"]);
    assert_eq!(names(&list(pattern("*1*"), 0, 0)), ["build/1", "build/10"]);
    assert_eq!(names(&list(pattern("plo"), 0, 0)), ["deploy"]);
    let page = list(pattern("build/*"), 2, 0);
    assert_eq!((page.locks.len(), page.total_matching_filter, page.has_more), (2, 3, true));
    let last = list(pattern("build/*"), 2, 2);
    assert_eq!((names(&last), last.has_more), (vec!["build/2".to_owned()], false));
    let owner = LockFilter { owner_id_pattern: "*-of-deploy".into(), ..LockFilter::default() };
    assert_eq!(names(&list(owner, 0, 0)), ["deploy"]);
    let metadata = BTreeMap::from([("name".to_owned(), "build/2".to_owned())]);
    let metadata = LockFilter { metadata_filter: metadata, ..LockFilter::default() };
    assert_eq!(names(&list(metadata, 0, 0)), ["build/2"]);
    let contested = list(LockFilter { only_contested: true, ..LockFilter::default() }, 0, 0);
    assert_eq!(names(&contested), ["deploy"]);
    assert_eq!(contested.locks[0].waiters_info[0].client_id, "waits");
    let before = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
    assert_eq!(names(&list(LockFilter { expires_before: before, ..LockFilter::default() }, 0, 0)).len(), 0);
    assert_eq!(names(&list(LockFilter { expires_after: before, ..LockFilter::default() }, 0, 0)).len(), 4);
}

#[test]
fn advice_status_and_health_match_the_state() {
    let (_server, client) = server();
    let advise = |lock: &str| -> BackoffAdvice {
        let request = BackoffAdviceRequest { lock_id: lock.into() };
        let answer: BackoffAdviceResponse =
            client.call("/raftlock.RaftLock/GetBackoffAdvice", request).expect("status OK");
        answer.advice.expect("advice")
    };
    assert_eq!(advise("a").initial_backoff, Some(Span { seconds: 0, nanos: 50_000_000 }));
    let before = taken(&client, "a", "me").version;
    assert!(advise("a").initial_backoff.expect("held").seconds >= 1);
    let request = GetStatusRequest { include_replication_details: true };
    let status: GetStatusResponse = client.call("/raftlock.RaftLock/GetStatus", request).expect("status OK");
    let raft = status.raft_status.expect("raft");
    assert_eq!((&*raft.node_id, &*raft.role, &*raft.leader_id), ("1", "Leader", "1"));
    assert!(raft.term > 0 && raft.last_applied > 0 && raft.commit_index >= raft.last_applied);
    let stats = status.lock_stats.expect("stats");
    assert_eq!((stats.active_locks_count, stats.total_waiters_count, stats.contested_locks_count), (1, 0, 0));
    let health: HealthResponse = client.call("/raftlock.RaftLock/Health", HealthRequest::default()).expect("status OK");
    assert_eq!(health.message, "Server is healthy and ready to serve requests.");
    let about = health.health_info.clone().expect("details");
    assert!(about.is_raft_leader && about.uptime.is_some() && about.current_active_locks == 1);
    assert_eq!(health.status(), health_status::ServingStatus::Serving);
    assert!(before > 0);
}

#[test]
fn invalid_requests_are_refused_with_a_detail() {
    let (_server, client) = server();
    let answer = client.call::<_, AcquireResponse>("/raftlock.RaftLock/Acquire", asks("", "me"));
    let status = answer.expect_err("refused");
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "lock_id cannot be empty"));
    assert!(String::from_utf8_lossy(status.details()).contains("type.googleapis.com/raftlock.ErrorDetail"));
    let long = AcquireRequest { ttl: seconds(301), ..asks("a", "me") };
    let answer = client.call::<_, AcquireResponse>("/raftlock.RaftLock/Acquire", long);
    assert_eq!(refusal(answer), (Code::InvalidArgument, "ttl must be between 1s and 5m0s".into()));
}

#[test]
fn rights_apply_to_raftlock() {
    let configuration = "[[access.keys]]\nname = \"reader\"\nrole = \"read-only\"\n\
        sha256 = \"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\"\n";
    let server = Spec::in_memory().configuration(configuration).start();
    let reader = GrpcClient::plain(&server).with_metadata("x-api-key", "foo");
    let answer = reader.call::<_, AcquireResponse>("/raftlock.RaftLock/Acquire", asks("a", "me"));
    assert_eq!(refusal(answer).0, Code::PermissionDenied);
    assert_eq!(code(info(&reader, "a").error), ErrorCode::LockNotFound);
}

/// A wait in the background, for so many seconds.
fn begin_wait(
    client: &GrpcClient,
    owner: &str,
    seconds_: i64,
) -> tokio::task::JoinHandle<Result<AcquireResponse, Status>> {
    let (client, owner) = (client.clone(), owner.to_owned());
    let waits = AcquireRequest { wait: true, wait_timeout: seconds(seconds_), ..asks("a", &owner) };
    runtime().spawn(async move { client.begin::<_, AcquireResponse>("/raftlock.RaftLock/Acquire", waits).await })
}

fn waiting(client: &GrpcClient) -> Vec<String> {
    let waiters = info(client, "a").lock_info.expect("held").waiters_info;
    waiters.into_iter().map(|waiter| waiter.client_id).collect()
}

#[test]
fn repeated_wait_keeps_its_place() {
    let server = Spec::in_memory().start();
    let client = GrpcClient::plain(&server);
    let hasty = GrpcClient::plain(&server).with_metadata("grpc-timeout", "2S");
    let ends: [(&str, &dyn Fn()); 4] = [
        ("the wait timed out", &|| {
            let ended = runtime().block_on(begin_wait(&client, "first", 1)).expect("no panic").expect("status OK");
            assert_eq!(code(ended.error), ErrorCode::Timeout);
        }),
        ("the deadline of the call passed", &|| {
            let ended = runtime().block_on(begin_wait(&hasty, "first", 30)).expect("no panic");
            // Whichever side was first to see it.
            assert!(matches!(refusal(ended).0, Code::DeadlineExceeded | Code::Cancelled));
        }),
        ("the client cancelled", &|| {
            let call = begin_wait(&client, "first", 30);
            crate::dialects::dialect_client::until("the first", || waiting(&client).len() == 1);
            call.abort();
            crate::dialects::dialect_client::until("the cancel", || waiting(&client).is_empty());
        }),
        ("the connection broke", &|| {
            let own = GrpcClient::plain(&server);
            let call = begin_wait(&own, "first", 30);
            crate::dialects::dialect_client::until("the first", || waiting(&client).len() == 1);
            call.abort();
            drop(own);
            crate::dialects::dialect_client::until("the cancel", || waiting(&client).is_empty());
        }),
    ];
    for (how, end) in ends {
        let version = taken(&client, "a", "me").version;
        end();
        // A kept place does not wait. The server notices the end of the call a moment later.
        crate::dialects::dialect_client::until(how, || waiting(&client).is_empty());
        let second = begin_wait(&client, "second", 30);
        crate::dialects::dialect_client::until("the second", || waiting(&client) == ["second"]);
        let first = begin_wait(&client, "first", 30);
        crate::dialects::dialect_client::until("its old place", || waiting(&client) == ["first", "second"]);
        assert!(release(&client, "a", "me", version).waiter_promoted);
        for (owner, call) in [("first", first), ("second", second)] {
            let got = runtime().block_on(call).expect("no panic").expect("status OK").lock.expect(how);
            assert_eq!(got.owner_id, owner, "{how}");
            assert!(release(&client, "a", owner, got.version).released);
        }
    }
}

#[test]
fn lost_wait_without_retry_is_passed_over() {
    let (_server, client) = server();
    let version = taken(&client, "a", "me").version;
    let ended = runtime().block_on(begin_wait(&client, "gone", 1)).expect("no panic").expect("status OK");
    assert_eq!(code(ended.error), ErrorCode::Timeout);
    let second = begin_wait(&client, "second", 30);
    crate::dialects::dialect_client::until("the second", || waiting(&client) == ["second"]);
    assert!(release(&client, "a", "me", version).waiter_promoted);
    let got = runtime().block_on(second).expect("no panic").expect("status OK").lock.expect("the lock");
    assert_eq!(got.owner_id, "second");
    assert!(release(&client, "a", "second", got.version).released);
    assert!(acquire(&client, asks("a", "third")).acquired, "nobody is waited for");
}

#[test]
fn request_id_matches_a_retry_with_less_time() {
    let (_server, client) = server();
    let version = taken(&client, "a", "me").version;
    let waits = |time| AcquireRequest {
        wait: true,
        wait_timeout: seconds(time),
        request_id: "once".into(),
        ..asks("a", "you")
    };
    assert_eq!(code(acquire(&client, waits(2)).error), ErrorCode::Timeout);
    assert_eq!(code(acquire(&client, waits(1)).error), ErrorCode::Timeout);
    assert!(release(&client, "a", "me", version).released);
    assert!(acquire(&client, waits(1)).acquired);
}

#[test]
fn filter_with_an_invalid_timestamp_is_refused() {
    let (_server, client) = server();
    for moment in [(253_402_300_800, 0), (-62_135_596_801, 0), (i64::MAX, 0), (0, -1)] {
        let at = Some(prost_types::Timestamp { seconds: moment.0, nanos: moment.1 });
        for (filter, words) in [
            (LockFilter { expires_before: at, ..LockFilter::default() }, "invalid timestamp for expires_before"),
            (LockFilter { expires_after: at, ..LockFilter::default() }, "invalid timestamp for expires_after"),
        ] {
            let request = GetLocksRequest { filter: Some(filter), ..GetLocksRequest::default() };
            let answer = client.call::<_, GetLocksResponse>("/raftlock.RaftLock/GetLocks", request);
            assert_eq!(refusal(answer), (Code::InvalidArgument, words.to_owned()));
        }
    }
}

#[test]
fn released_lock_is_shown_and_unknown_lock_is_not_found() {
    let (_server, client) = server();
    assert_eq!(code(info(&client, "a").error), ErrorCode::LockNotFound);
    let held = taken(&client, "a", "me");
    assert!(release(&client, "a", "me", held.version).released);
    let shown = info(&client, "a");
    assert_eq!(shown.error, None);
    let free = shown.lock_info.expect("the lock");
    assert_eq!((&*free.lock_id, &*free.owner_id, free.version), ("a", "", held.version));
    let near = |one: &Option<prost_types::Timestamp>, other: &Option<prost_types::Timestamp>| {
        let seconds = |at: &Option<prost_types::Timestamp>| at.as_ref().expect("a moment").seconds;
        assert!((seconds(one) - seconds(other)).abs() <= 1, "{one:?} {other:?}");
    };
    near(&free.acquired_at, &held.acquired_at);
    near(&free.expires_at, &held.expires_at);
    assert!(free.last_modified_at.is_some() && free.waiter_count == 0 && free.metadata.is_empty());
    let again = taken(&client, "a", "you");
    assert_eq!(info(&client, "a").lock_info.expect("held").owner_id, "you");
    assert!(release(&client, "a", "you", again.version).released);
    assert_eq!(info(&client, "a").lock_info.expect("the lock").version, again.version);
    let short = AcquireRequest { ttl: seconds(1), ..asks("b", "me") };
    let version = acquire(&client, short).lock.expect("free").version;
    let owner = || info(&client, "b").lock_info.map(|lock| (lock.owner_id, lock.version));
    crate::dialects::dialect_client::until("the end of its lease", || owner() == Some((String::new(), version)));
}
