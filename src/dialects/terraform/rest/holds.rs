//! Lock, unlock and the forced unlock.

use super::lock_info::LockInfo;
use super::state::{NAMES, Terraform};
use crate::access::Identity;
use crate::base::clock;
use crate::domain::view::HoldView;
use crate::domain::{Acquire, Dialect, Name, Proof, Refusal, Timestamp, Token};
use crate::engine::{Engine, Fault};
use crate::http::auth::{caller, may_administer};
use crate::http::delivery::granted;
use crate::http::endpoint::{ACT, BODY, CREDENTIAL, NEW_HOLD, WRITE, errors};
use crate::http::frozen::text_of;
use crate::http::{Code, Failure, Problem, administration, header_fields, respond};
use axum::http::{HeaderMap, HeaderName, StatusCode, request::Parts};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use utoipa::IntoParams;

const FENCING_TOKEN: HeaderName = HeaderName::from_static("fencing-token");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// A request that may take the lock.
pub struct Asked<'a> {
    pub state: &'a Terraform,
    pub head: &'a Parts,
    pub identity: &'a Identity,
    pub name: Name,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "`Target` reads it from the path")]
struct NameInPath {
    /// Of the state, or of anything else. A slash in it may stand as it is, or as `%2F`; a name that ends in `/lock` or
    /// `/unlock` needs the latter.
    #[param(format = "lock-name", min_length = 1, example = "network-production")]
    name: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`check_digest` reads it")]
struct DigestHeader {
    /// The MD5 of the body in base64, which Terraform sends. If it is there, it must be right.
    #[param(rename = "Content-MD5", required = false)]
    content_md5: String,
}

const REFUSED: [Code; 4] = [Code::InvalidField, Code::LimitExceeded, Code::UnsupportedMediaType, Code::NotYet];

errors!(LockErrors: Problem<'_>, BODY, REFUSED, [Code::Forbidden], CREDENTIAL, WRITE, NEW_HOLD, [Code::WaitTimedOut, Code::TokensExhausted]);
errors!(UnlockErrors: Problem<'_>, BODY, REFUSED, ACT, CREDENTIAL, WRITE);

/// Take a lock
///
/// The same as the method `LOCK`. The same `ID` again gets the same hold, so a repeated request does no harm.
#[utoipa::path(
    put,
    path = "/terraform/{name}",
    operation_id = "terraform_lock",
    params(NameInPath, DigestHeader),
    request_body(content = LockInfo<'_>, example = json!({"ID": "1b2c0e0c", "Operation": "OperationTypeApply", "Who": "ann@build-7"})),
    responses(
        (status = 200, description = "Locked.", body = LockInfo<'_>, headers(("Fencing-Token", description = "Higher than every token given before."))),
        (status = 423, description = "Somebody holds it: who. The holder of another dialect has the `ID` `latchd-` and its fencing token. Or an operator has frozen it: `latchd-frozen: `, the reason and the end.", body = LockInfo<'_>),
        LockErrors,
    ),
)]
pub async fn lock(asked: &Asked<'_>, info: &LockInfo<'_>) -> Result<Response, Failure> {
    let (app, name) = (&asked.state.app, &asked.name);
    info.check_created()?;
    info.check_lengths(&app.engine.limits())?;
    let acquire = Acquire {
        label: Some(info.label()),
        // Terraform repeats a request whose answer it has not got.
        reentrant: true,
        lease_ms: asked.state.max_hold_ms,
        metadata: info.metadata(),
        caller: caller(asked.identity, asked.head),
        ..Acquire::new(name.clone(), Engine::new_key(), Dialect::Terraform)
    };
    match app.engine.acquire(acquire).await {
        Ok(hold) => {
            let mut response = granted(asked.head, hold.delivery, StatusCode::OK, respond::to_json(info));
            response.headers_mut().insert(FENCING_TOKEN, hold.token.0.into());
            Ok(response)
        }
        Err(Fault::Refused(Refusal::Held(by))) => Ok(asked.held(StatusCode::LOCKED, by.token, by.since)),
        Err(Fault::Refused(Refusal::Frozen(by))) => {
            let info = LockInfo::of_freeze(text_of(&by), asked.written(asked.state.app.engine.now()));
            Ok(respond::json(StatusCode::LOCKED, respond::to_json(&info)))
        }
        Err(fault) => Err(explain(&fault)),
    }
}

/// Release a lock
///
/// The same as the method `UNLOCK`. The hold is found by the `ID` alone, so anybody who may take the lock can end it, as
/// `tofu force-unlock` does. Without a body it ends whatever hold of this dialect there is: `terraform force-unlock`,
/// which needs `terraform.force_unlock` and the admin role.
#[utoipa::path(
    delete,
    path = "/terraform/{name}",
    operation_id = "terraform_unlock",
    params(NameInPath, DigestHeader),
    request_body(content = Option<LockInfo<'_>>, example = json!({"ID": "1b2c0e0c"})),
    responses(
        (status = 200, description = "Unlocked.", body = LockInfo<'_>),
        (status = 409, description = "It is held under another `ID`: by whom. As a problem document: nothing is held.", content((LockInfo<'_> = "application/json"), (Problem<'_> = "application/problem+json"))),
        UnlockErrors,
    ),
)]
pub async fn unlock(asked: &Asked<'_>, info: &LockInfo<'_>) -> Result<Response, Failure> {
    let proof = Proof::Label { label: info.label(), token: None };
    match asked.state.app.engine.release(asked.name.clone(), None, proof).await {
        Ok(_) => Ok(respond::json(StatusCode::OK, respond::to_json(info))),
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::NotOwner)) => asked.not_unlocked(),
        Err(fault) => Err(explain(&fault)),
    }
}

/// Take a lock at an address of its own
///
/// As `PUT /terraform/{name}`, for those who set `lock_method` to `POST`. `DELETE` on this path unlocks.
#[utoipa::path(
    post,
    path = "/terraform/{name}/lock",
    operation_id = "terraform_lock_by_post",
    params(NameInPath, DigestHeader),
    request_body(content = LockInfo<'_>, example = json!({"ID": "1b2c0e0c", "Operation": "OperationTypeApply", "Who": "ann@build-7"})),
    responses(
        (status = 200, description = "Locked.", body = LockInfo<'_>, headers(("Fencing-Token", description = "Higher than every token given before."))),
        (status = 423, description = "Somebody holds it: who.", body = LockInfo<'_>),
        LockErrors,
    ),
)]
#[expect(dead_code, reason = "describes what `lock` answers")]
async fn lock_by_post() {}

/// Release a lock at an address of its own
///
/// As `DELETE /terraform/{name}`.
#[utoipa::path(
    post,
    path = "/terraform/{name}/unlock",
    operation_id = "terraform_unlock_by_post",
    params(NameInPath, DigestHeader),
    request_body(content = Option<LockInfo<'_>>, example = json!({"ID": "1b2c0e0c"})),
    responses(
        (status = 200, description = "Unlocked.", body = LockInfo<'_>),
        (status = 409, description = "It is held under another `ID`: by whom. As a problem document: nothing is held.", content((LockInfo<'_> = "application/json"), (Problem<'_> = "application/problem+json"))),
        UnlockErrors,
    ),
)]
#[expect(dead_code, reason = "describes what `unlock` answers")]
async fn unlock_by_post() {}

/// Terraform's forced unlock, which sends nothing: ends the hold that this dialect has of the lock.
pub async fn force_unlock(asked: &Asked<'_>) -> Result<Response, Failure> {
    let (state, name) = (asked.state, &asked.name);
    if !state.force_unlock {
        let detail = "ID is needed: send the LockInfo of the hold, or at least its ID; an UNLOCK without a body, as \
            `terraform force-unlock` sends it, must be allowed";
        return Err(Failure::field("ID", detail).set_by("terraform.force_unlock"));
    }
    may_administer(asked.identity, "force the release of", name)?;
    let (lock, _) = state.app.engine.lock(name).await.map_err(|fault| explain(&fault))?;
    let holds = lock.map(|lock| lock.holds).unwrap_or_default();
    let Some(hold) = holds.iter().find(|hold| hold.dialect == Dialect::Terraform) else {
        return asked.not_unlocked();
    };
    let reason = "an UNLOCK of Terraform without an ID";
    let by = administration::by(asked.identity, asked.head);
    match administration::force_release(&state.app, by, name, hold, reason).await? {
        Ok(_) => {}
        // It was released meanwhile.
        Err(Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => return asked.not_unlocked(),
        Err(fault) => return Err(explain(&fault)),
    }
    Ok(respond::json(StatusCode::OK, respond::to_json(&asked.info_of(hold))))
}

impl Asked<'_> {
    fn not_unlocked(&self) -> Result<Response, Failure> {
        match self.state.app.engine.local_lock(&self.name).and_then(|lock| lock.holds.into_iter().next()) {
            Some(hold) => Ok(respond::json(StatusCode::CONFLICT, respond::to_json(&self.info_of(&hold)))),
            None => Err(Failure::new(Code::NotOwner, "nothing is held under this name")),
        }
    }

    /// Names the holder, as this node knows it: the refusal has no label.
    fn held(&self, status: StatusCode, token: Token, since: Timestamp) -> Response {
        let lock = self.state.app.engine.local_lock(&self.name);
        let hold = lock.and_then(|lock| lock.holds.into_iter().find(|hold| hold.token == token));
        let info = match hold {
            Some(hold) => self.info_of(&hold),
            None => {
                let info = "held by nobody at this moment: others wait for it, or its last holder delays the next";
                LockInfo::made_up(token, "others".to_owned(), info.to_owned(), self.written(since))
            }
        };
        respond::json(status, respond::to_json(&info))
    }

    fn info_of(&self, hold: &HoldView) -> LockInfo<'static> {
        LockInfo::of_hold(hold, self.state.app.catalog.title(hold.dialect), self.written(hold.since))
    }

    /// By this node's wall clock, which no decision is made by.
    fn written(&self, moment: Timestamp) -> String {
        let age = self.state.app.engine.now().since(moment);
        clock::rfc3339(clock::unix_time().saturating_sub(age).as_secs())
    }
}

/// A body that was changed on its way is refused, where its sender says what it was.
pub fn check_digest(headers: &HeaderMap, body: &[u8]) -> Result<(), Failure> {
    let Some(sent) = header_fields::values(headers, CONTENT_MD5).next() else { return Ok(()) };
    let actual = BASE64_STANDARD.encode(Md5::digest(body));
    if sent.as_bytes().trim_ascii() == actual.as_bytes() {
        return Ok(());
    }
    Err(Failure::field("Content-MD5", "Content-MD5 is not the MD5 of the body in base64: it was changed on its way"))
}

fn explain(fault: &Fault) -> Failure {
    Failure::from_fault(fault, &NAMES)
}
