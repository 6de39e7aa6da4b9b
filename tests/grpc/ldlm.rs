//! `ldlm.LDLM`: the answers on which LDLM's clients rely.

use crate::support::grpc::{GrpcClient, refusal};
use crate::support::process::Server;
use crate::support::spec::Spec;
use latchd::dialects::ldlm::proto::{
    Error, ErrorCode, LockRequest, LockResponse, RenewRequest, TryLockRequest, UnlockRequest, UnlockResponse,
};
use tonic::{Code, Status};

pub fn lock(client: &GrpcClient, request: LockRequest) -> LockResponse {
    client.call("/ldlm.LDLM/Lock", request).expect("status OK")
}

pub fn try_lock(client: &GrpcClient, request: TryLockRequest) -> LockResponse {
    client.call("/ldlm.LDLM/TryLock", request).expect("status OK")
}

pub fn take(client: &GrpcClient, name: &str) -> Option<String> {
    let answer = try_lock(client, TryLockRequest { name: name.into(), ..TryLockRequest::default() });
    answer.locked.then_some(answer.key)
}

pub fn unlock(client: &GrpcClient, name: &str, key: &str) -> UnlockResponse {
    client.call("/ldlm.LDLM/Unlock", UnlockRequest { name: name.into(), key: key.into() }).expect("status OK")
}

pub fn renew(client: &GrpcClient, name: &str, key: &str, seconds: i32) -> LockResponse {
    let request = RenewRequest { name: name.into(), key: key.into(), lock_timeout_seconds: seconds };
    client.call("/ldlm.LDLM/Renew", request).expect("status OK")
}

fn error(code: ErrorCode, message: &str) -> Option<Error> {
    Some(Error { code: code.into(), message: message.into() })
}

fn server() -> (Server, GrpcClient) {
    let server = Spec::in_memory().start();
    let client = GrpcClient::plain(&server);
    (server, client)
}

#[test]
fn lock_is_taken_renewed_by_both_names_and_released() {
    let (_server, client) = server();
    let request = LockRequest { name: "a".into(), lock_timeout_seconds: Some(60), ..LockRequest::default() };
    let taken = lock(&client, request);
    assert!(taken.locked && taken.name == "a" && taken.error.is_none() && taken.fencing_token > 0, "{taken:?}");
    assert!(taken.key.len() == 36 && taken.key.matches('-').count() == 4, "{taken:?}");
    for path in ["/ldlm.LDLM/Renew", "/ldlm.LDLM/RefreshLock"] {
        let request = RenewRequest { name: "a".into(), key: taken.key.clone(), lock_timeout_seconds: 30 };
        let renewed: LockResponse = client.call(path, request).expect("status OK");
        assert_eq!(renewed, taken, "{path}");
    }
    let released = unlock(&client, "a", &taken.key);
    assert_eq!(released, UnlockResponse { unlocked: true, name: "a".into(), error: None });
}

#[test]
fn held_lock_is_no_error_and_wrong_key_opens_nothing() {
    let (_server, client) = server();
    let key = take(&client, "held").expect("free");
    let refused = try_lock(&client, TryLockRequest { name: "held".into(), ..TryLockRequest::default() });
    assert!(!refused.locked && refused.error.is_none() && refused.key.len() == 36, "{refused:?}");
    assert_eq!(unlock(&client, "held", &refused.key).error, error(ErrorCode::InvalidLockKey, "invalid lock key"));
    assert!(unlock(&client, "held", &key).unlocked);
}

#[test]
fn invalid_requests_get_ldlms_error_with_status_ok() {
    let (_server, client) = server();
    let named = |name: &str| LockRequest { name: name.into(), ..LockRequest::default() };
    let cases = [
        (named(""), ErrorCode::Unknown, "lock name cannot be empty", 36),
        (
            LockRequest { lock_timeout_seconds: Some(-1), ..named("") },
            ErrorCode::Unknown,
            "lock timeout must be greater than 0",
            0,
        ),
        (
            LockRequest { wait_timeout_seconds: Some(-1), size: Some(0), ..named("a") },
            ErrorCode::Unknown,
            "wait timeout must be greater than 0",
            0,
        ),
        (
            LockRequest { size: Some(0), ..named("a") },
            ErrorCode::InvalidLockSize,
            "lock size must be greater than 0",
            36,
        ),
        (
            LockRequest { size: Some(-3), ..named("a") },
            ErrorCode::InvalidLockSize,
            "lock size must be greater than 0",
            36,
        ),
        (
            named(&"x".repeat(600)),
            ErrorCode::Unknown,
            "lock name must be at most 512 bytes long (locks.name_bytes_max)",
            36,
        ),
    ];
    for (request, code, message, key_length) in cases {
        let answer = lock(&client, request.clone());
        assert!(!answer.locked, "{request:?}");
        assert_eq!((answer.error, answer.key.len()), (error(code, message), key_length), "{request:?}");
        assert_eq!(answer.name, request.name);
    }
}

#[test]
fn size_binds_later_requests_and_waits_time_out() {
    let (_server, client) = server();
    let sized = |size| LockRequest { name: "s".into(), size, wait_timeout_seconds: Some(1), ..LockRequest::default() };
    let keys = [(); 2].map(|()| lock(&client, sized(Some(2))).key);
    assert_ne!(keys[0], keys[1]);
    let third = lock(&client, sized(Some(2)));
    assert_eq!(third.error, error(ErrorCode::LockWaitTimeout, "timeout waiting to acquire lock"));
    let other = lock(&client, sized(None));
    assert_eq!(other.error, error(ErrorCode::LockSizeMismatch, "lock size mismatch"));
    assert!(keys.iter().all(|key| unlock(&client, "s", key).unlocked));
    let idle = lock(&client, sized(Some(3)));
    assert_eq!(idle.error, error(ErrorCode::LockSizeMismatch, "lock size mismatch"), "the idle lock has its size");
}

#[test]
fn failed_unlock_and_renew_have_ldlms_errors() {
    let (_server, client) = server();
    let missing = error(ErrorCode::LockDoesNotExist, "a lock by that name does not exist");
    assert_eq!(unlock(&client, "none", "some-key").error, missing);
    let key = take(&client, "without-timeout").expect("free");
    let unknown = error(ErrorCode::Unknown, "lock does not exist or invalid key");
    for (name, key) in [("none", "some-key"), ("without-timeout", "wrong"), ("without-timeout", &key)] {
        let answer = renew(&client, name, key, 30);
        assert_eq!((answer.locked, answer.error, &*answer.key), (false, unknown.clone(), key));
    }
    for seconds in [0, -1] {
        let answer = renew(&client, "without-timeout", &key, seconds);
        assert_eq!(answer.error, error(ErrorCode::Unknown, "lock timeout must be greater than 0"));
        assert_eq!(answer.key, "");
    }
}

#[test]
fn credential_is_the_bare_password_or_an_api_key() {
    let server = Spec::in_memory().password("sesame: open").api_key("key-of-the-door").start();
    let anonymous = GrpcClient::plain(&server);
    let with = |name, value| anonymous.clone().with_metadata(name, value);
    let ask = |client: &GrpcClient| -> Result<LockResponse, Status> {
        client.call("/ldlm.LDLM/TryLock", TryLockRequest { name: "a".into(), ..TryLockRequest::default() })
    };
    assert_eq!(refusal(ask(&anonymous)), (Code::Unauthenticated, "missing credentials".into()));
    let wrong = with("authorization", "open: sesame");
    assert_eq!(refusal(ask(&wrong)), (Code::Unauthenticated, "invalid credentials".into()));
    for right in [with("authorization", "sesame: open"), with("x-api-key", "key-of-the-door")] {
        let answer = ask(&right).expect("let in");
        assert!(answer.locked && unlock(&right, "a", &answer.key).unlocked);
    }
}

#[test]
fn missing_right_is_an_error_in_the_answer() {
    let sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let key =
        format!("[[access.keys]]\nname = \"ci\"\nsha256 = \"{sha256}\"\nrole = \"client\"\nprefixes = [\"ci/\"]\n");
    let server = Spec::in_memory().configuration(key).start();
    let client = GrpcClient::plain(&server).with_metadata("x-api-key", "foo");
    let key = take(&client, "ci/build").expect("within its prefix");
    let refused = try_lock(&client, TryLockRequest { name: "prod".into(), ..TryLockRequest::default() });
    let words = refused.error.expect("an error").message;
    assert!(words.contains("lacks the right to take the lock \"prod\""), "{words}");
    assert!(unlock(&client, "ci/build", &key).unlocked);
}
