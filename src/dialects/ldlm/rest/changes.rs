//! `/v1/upgrade`, `/v1/downgrade` and `/v1/transfer`: a hold goes on in another mode, or with another owner.

use super::answer;
use super::fields::{KEY, NAME, TARGET, WAIT_TIMEOUT, needed, wait_field};
use super::holds::{handle, not_acquired, ok, rejected};
use super::in_session::{Rejection, RequestInSession};
use super::schema::{
    DowngradeRequest, GatewayError, IN_SESSION, LockAnswer, MESSAGE, SessionError, TransferAnswer, TransferRequest,
    UpgradeRequest,
};
use crate::domain::view::HoldView;
use crate::domain::{HoldKey, Limits, Name, Refusal, SessionId, Upgrade, Wait};
use crate::engine::{Changed, Engine, Fault};
use crate::http::auth::{self, may_take, may_use};
use crate::http::endpoint::{BODY, WRITE, errors};
use crate::http::json_object::{FieldName, Trailing, Value, parse};
use crate::http::unknown_fields::UnknownFields;
use crate::http::{AppState, Code, Failure, key};
use axum::extract::{Request, State};
use axum::response::Response;
use std::borrow::Cow;

errors!(ChangeErrors: GatewayError, BODY, MESSAGE, WRITE, IN_SESSION, [Code::RateExceeded, Code::NoSuchLock, Code::WrongKey, Code::NotConvertible]);
errors!(UpgradeErrors: GatewayError, BODY, MESSAGE, WRITE, IN_SESSION, [Code::RateExceeded, Code::NoSuchLock, Code::WrongKey, Code::NotConvertible, Code::UpgradePending, Code::QueueFull]);
errors!(TransferErrors: GatewayError, BODY, MESSAGE, WRITE, IN_SESSION, [Code::RateExceeded, Code::NoSuchLock, Code::WrongKey, Code::NotConvertible, Code::TargetUnknown, Code::SessionHoldsFull]);

/// Share a lock that is held exclusively
///
/// Never waits, and lets the readers in that are first in the queue. The key stays, the fencing token is new. A hold that is
/// shared already stays as it is.
#[utoipa::path(
    post,
    path = "/v1/downgrade",
    request_body(content = DowngradeRequest, example = json!({"name": "report", "key": "9e2c0102-0304-4506-8708-090a0b0c0d0e"})),
    responses(
        (status = 200, description = "The hold is shared.", body = LockAnswer, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        (status = 401, description = "No credential or a wrong one (then without a body), or no session cookie, or its session has ended.", body = SessionError),
        ChangeErrors,
    ),
    security(("session" = [])),
)]
pub fn downgrade(State(app): State<AppState>, request: Request) -> impl Future<Output = Response> {
    handle(app, request, downgrade_hold)
}

/// Be the only holder of a lock that is shared
///
/// Waits, if others share it, before all that wait already. Of two holders that ask for it, the second is refused at once,
/// because each would wait for the other. The key stays, the fencing token is new; if the wait ends without success, the
/// shared hold stays. A hold that is exclusive already stays as it is.
#[utoipa::path(
    post,
    path = "/v1/upgrade",
    request_body(content = UpgradeRequest, example = json!({"name": "report", "key": "9e2c0102-0304-4506-8708-090a0b0c0d0e", "wait_timeout_seconds": 0.5})),
    responses(
        (status = 200, description = "Exclusive, or not: `locked` tells. An `error` says why where it is more than that others share the lock.", body = LockAnswer, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        (status = 401, description = "No credential or a wrong one (then without a body), or no session cookie, or its session has ended.", body = SessionError),
        UpgradeErrors,
    ),
    security(("session" = [])),
)]
pub fn upgrade(State(app): State<AppState>, request: Request) -> impl Future<Output = Response> {
    handle(app, request, upgrade_hold)
}

/// Give a hold to another session
///
/// The hold gets a new key and a new fencing token, and its lease goes on; the old key is worth nothing from then on. Of a
/// hold of several names, all go. A leader of an election resigns instead.
#[utoipa::path(
    post,
    path = "/v1/transfer",
    request_body(content = TransferRequest, example = json!({"name": "deploy/production", "key": "9e2c0102-0304-4506-8708-090a0b0c0d0e", "to_session": "9e2c01020304450687080910a0b0c0d0"})),
    responses(
        (status = 200, description = "The other session has it.", body = TransferAnswer, headers(("Set-Cookie", description = "`ldlm-session` again, as LDLM sends it with every answer."))),
        (status = 401, description = "No credential or a wrong one (then without a body), or no session cookie, or its session has ended.", body = SessionError),
        TransferErrors,
    ),
    security(("session" = [])),
)]
pub fn transfer(State(app): State<AppState>, request: Request) -> impl Future<Output = Response> {
    handle(app, request, transfer_hold)
}

async fn downgrade_hold(caller: &RequestInSession<'_>, body: &[u8]) -> Result<Response, Rejection> {
    let asked = ChangeRequest::downgrade(body, &caller.app.engine.limits(), caller.app.settings.unknown_fields)?;
    let (name, key) = hold_of(caller, &asked)?;
    let changed = caller.app.engine.downgrade(name.clone(), Some(caller.session), key).await;
    Ok(locked(&name, &changed.map_err(rejected)?))
}

async fn upgrade_hold(caller: &RequestInSession<'_>, body: &[u8]) -> Result<Response, Rejection> {
    let asked = ChangeRequest::upgrade(body, &caller.app.engine.limits(), caller.app.settings.unknown_fields)?;
    let (name, key) = hold_of(caller, &asked)?;
    let upgrade = Upgrade {
        name: name.clone(),
        session: Some(caller.session),
        key,
        attempt: Engine::new_key(),
        wait: asked.wait_ms.map(|timeout_ms| Wait::Guarded { timeout_ms }),
        caller: auth::caller(&caller.identity, caller.head),
    };
    match caller.app.engine.upgrade(upgrade).await {
        Ok(changed) => Ok(locked(&name, &changed)),
        // These tell that the hold is lost, so they must not look like contention.
        Err(fault @ Fault::Refused(Refusal::NoSuchLock | Refusal::WrongKey)) => Err(rejected(fault)),
        Err(fault) => not_acquired(caller, &name, key, fault, false),
    }
}

async fn transfer_hold(caller: &RequestInSession<'_>, body: &[u8]) -> Result<Response, Rejection> {
    let asked = ChangeRequest::transfer(body, &caller.app.engine.limits(), caller.app.settings.unknown_fields)?;
    let (name, key) = hold_of(caller, &asked)?;
    may_take_all(caller, &name, key).await?;
    let to = target(&asked)?;
    may_use(caller.app, &caller.identity, caller.head, to).await.map_err(rejected)?;
    let changed = caller.app.engine.transfer(name.clone(), Some(caller.session), key, to).await.map_err(rejected)?;
    Ok(ok(answer::transferred(&name, changed.key, changed.token, changed.expires_in)))
}

fn hold_of(caller: &RequestInSession<'_>, asked: &ChangeRequest<'_>) -> Result<(Name, HoldKey), Rejection> {
    may_take(&caller.identity, &asked.name)?;
    Ok((Name::from(&*asked.name), key::from_dashed(&asked.key).unwrap_or(key::NO_KEY)))
}

/// All names of a hold go with it.
async fn may_take_all(caller: &RequestInSession<'_>, name: &Name, key: HoldKey) -> Result<(), Rejection> {
    let (lock, _) = caller.app.engine.lock(name).await.map_err(rejected)?;
    let hold = lock.and_then(|lock| lock.into_hold(key));
    let may_take = |name: &Name| may_take(&caller.identity, name);
    Ok(hold.iter().flat_map(HoldView::names).try_for_each(may_take)?)
}

fn target(asked: &ChangeRequest<'_>) -> Result<SessionId, Failure> {
    let text = asked.to_session.as_deref().unwrap_or_default();
    key::session_from_hex(text.as_bytes())
        .ok_or_else(|| Failure::field(TARGET.name, "to_session must be the id of a session"))
}

fn locked(name: &str, changed: &Changed) -> Response {
    ok(answer::locked(name, &[], changed.key, changed.token, changed.expires_in))
}

/// A hold that is to change.
#[derive(Debug)]
struct ChangeRequest<'a> {
    name: Cow<'a, str>,
    key: Cow<'a, str>,
    wait_ms: Option<u64>,
    to_session: Option<Cow<'a, str>>,
}

impl<'a> ChangeRequest<'a> {
    fn downgrade(body: &'a [u8], _: &Limits, unknown: UnknownFields) -> Result<ChangeRequest<'a>, Failure> {
        static FIELDS: [FieldName; 2] = [NAME, KEY];
        let [name, key] = parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        ChangeRequest::of(name, key, None, None)
    }

    fn upgrade(body: &'a [u8], limits: &Limits, unknown: UnknownFields) -> Result<ChangeRequest<'a>, Failure> {
        static FIELDS: [FieldName; 3] = [NAME, KEY, WAIT_TIMEOUT];
        let [name, key, wait] = parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        let seconds = wait.number(WAIT_TIMEOUT.name)?;
        let wait_ms = seconds.map(|seconds| wait_field(limits).ms(seconds)).transpose()?;
        ChangeRequest::of(name, key, wait_ms.filter(|ms| *ms > 0), None)
    }

    fn transfer(body: &'a [u8], _: &Limits, unknown: UnknownFields) -> Result<ChangeRequest<'a>, Failure> {
        static FIELDS: [FieldName; 3] = [NAME, KEY, TARGET];
        let [name, key, to_session] = parse(body, &FIELDS, Trailing::Ignored, unknown)?;
        let to_session = needed(to_session, &TARGET)?;
        ChangeRequest::of(name, key, None, Some(to_session))
    }

    fn of(
        name: Value<'a>,
        key: Value<'a>,
        wait_ms: Option<u64>,
        to_session: Option<Cow<'a, str>>,
    ) -> Result<ChangeRequest<'a>, Failure> {
        Ok(ChangeRequest { name: needed(name, &NAME)?, key: needed(key, &KEY)?, wait_ms, to_session })
    }
}
