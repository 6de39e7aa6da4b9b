//! Identifies the caller of a request by its secrets, in every form. Each dialect formats the refusal itself.

use super::app::AppState;
use super::code::Code;
use super::connection::{ClientInfo, client};
use super::cookie::{RequestCookie, request_cookie};
use super::failed_logins::Noted;
use super::failure::Failure;
use super::identity_tokens::{self, Found};
use super::{header_fields, rates};
use crate::access::oidc::{IdentityTokens, may_be_token};
use crate::access::{Identity, InHeaders, Role, Verdict, presented_in_headers};
use crate::base::address_group::AddressGroup;
use crate::base::clock;
use crate::domain::{Caller, Refusal, SessionId};
use crate::engine::Fault;
use axum::http::{HeaderName, HeaderValue, header, request::Parts};
use std::net::IpAddr;
use std::sync::Arc;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The caller of a request that carries its secrets in headers.
pub async fn identify(app: &AppState, head: &Parts) -> Result<Identity, Failure> {
    identify_with(app, head, None).await
}

/// As [`identify`], with one more secret from elsewhere (`auth` in a query string). Any valid one opens.
pub async fn identify_with(app: &AppState, head: &Parts, extra: Option<&str>) -> Result<Identity, Failure> {
    if app.access.is_open() {
        return anonymous(app, head);
    }
    // Boxed, or the future of every request would have the size of these rare paths.
    let granted = match look_up(app, head, extra) {
        Known::Caller(identity) => identity,
        Known::Verdict(verdict) => Box::pin(settle(app, verdict, client(head).ip)).await?,
        Known::Nothing => Box::pin(identify_slowly(app, head, extra)).await?,
    };
    if let Some(info) = head.extensions.get::<ClientInfo>() {
        info.unidentified.identified(&granted);
    }
    rates::admit(app, &granted, head)?;
    Ok(granted)
}

fn anonymous(app: &AppState, head: &Parts) -> Result<Identity, Failure> {
    if let Some(info) = head.extensions.get::<ClientInfo>() {
        info.unidentified.anonymous_caller();
    }
    let anonymous = app.access.anonymous(is_on_this_machine(head)).clone();
    rates::admit(app, &anonymous, head)?;
    Ok(anonymous)
}

/// What is found out about a caller without waiting.
enum Known {
    Caller(Identity),
    Verdict(Verdict),
    Nothing,
}

/// Whoever shows a secret is judged by it alone: a wrong one is not made good by a certificate.
fn look_up(app: &AppState, head: &Parts, extra: Option<&str>) -> Known {
    let in_headers = in_headers(head);
    let (secrets, count) = secrets(&in_headers, extra);
    let secrets = &secrets[..count];
    let shown = head.extensions.get::<ClientInfo>().filter(|_| count == 0);
    if let Some(known) = shown.and_then(|info| by_certificate(app, info)) {
        return known;
    }
    if app.access.tokens().is_some() && secrets.iter().any(|secret| may_be_token(secret)) {
        return Known::Nothing;
    }
    let verdict = app.access.check_fast(secrets, client(head).ip, clock::process_age());
    verdict.iter().for_each(|verdict| app.ending_keys.note(verdict));
    match verdict {
        Some(Verdict::Granted(identity)) => Known::Caller(identity),
        Some(verdict) => Known::Verdict(verdict),
        None => Known::Nothing,
    }
}

async fn identify_slowly(app: &AppState, head: &Parts, extra: Option<&str>) -> Result<Identity, Failure> {
    let (in_headers, from) = (in_headers(head), client(head).ip);
    let (secrets, count) = secrets(&in_headers, extra);
    let verdict = match app.access.tokens() {
        Some(tokens) => check_with_tokens(app, tokens, &secrets[..count], from).await,
        None => check_slowly(app, &secrets[..count], from).await,
    };
    settle(app, verdict, from).await
}

fn in_headers(head: &Parts) -> InHeaders<'_> {
    let bytes = |name: HeaderName| header_fields::values(&head.headers, name).next().map(HeaderValue::as_bytes);
    presented_in_headers(bytes(header::AUTHORIZATION), bytes(X_API_KEY))
}

/// The secrets of a request, each of which may open, and how many there are.
fn secrets<'a>(in_headers: &'a InHeaders<'_>, extra: Option<&'a str>) -> ([&'a str; 3], usize) {
    let (mut secrets, mut count) = ([""; 3], 0);
    for secret in extra.into_iter().chain(in_headers.secrets()) {
        secrets[count] = secret;
        count += 1;
    }
    (secrets, count)
}

/// What the certificate of this connection opens, where there is one. A proxy's is not that of the client behind it.
fn by_certificate(app: &AppState, info: &ClientInfo) -> Option<Known> {
    let certificate = info.connection.certificate().filter(|_| !info.via_proxy)?;
    Some(app.access.of_certificate(certificate).map_or(Known::Verdict(Verdict::CertificateRefused), Known::Caller))
}

/// The caller who shows these secrets from this address, where credentials are configured.
pub async fn identify_secrets(app: &AppState, secrets: &[&str], from: IpAddr) -> Result<Identity, Failure> {
    let verdict = match app.access.tokens() {
        Some(tokens) => check_with_tokens(app, tokens, secrets, from).await,
        None => check(app, secrets, from).await,
    };
    settle(app, verdict, from).await
}

/// Records a failure, and says what is wrong.
async fn settle(app: &AppState, verdict: Verdict, from: IpAddr) -> Result<Identity, Failure> {
    record(app, &verdict, from).await;
    granted(verdict)
}

/// Counts a failure, and writes it into the audit log.
pub async fn record(app: &AppState, verdict: &Verdict, from: IpAddr) {
    match app.failed_logins.note(verdict, from) {
        Noted::NoFailure => {}
        Noted::LeftOut => app.audit.leave_out(),
        Noted::ToRecord { why, held_back } => Box::pin(app.audit.refused_credential(from, why, held_back)).await,
    }
}

/// Any valid secret opens. Where none does, the caller hears what is wrong with its token.
async fn check_with_tokens(app: &AppState, tokens: &IdentityTokens, secrets: &[&str], from: IpAddr) -> Verdict {
    match identity_tokens::find(app, tokens, secrets, from).await {
        Found::Opens(identity) => Verdict::Granted(identity),
        Found::NoToken => check(app, secrets, from).await,
        Found::Refused { refusal, others } => {
            if !others.is_empty()
                && let granted @ Verdict::Granted(_) = check(app, &others, from).await
            {
                return granted;
            }
            tokens.count_refusal(refusal);
            Verdict::TokenRefused(refusal)
        }
    }
}

/// The verdict on passwords and keys.
async fn check(app: &AppState, secrets: &[&str], from: IpAddr) -> Verdict {
    match app.access.check_fast(secrets, from, clock::process_age()) {
        Some(verdict) => {
            app.ending_keys.note(&verdict);
            verdict
        }
        None => check_slowly(app, secrets, from).await,
    }
}

/// A password that this process has not met yet: its hash takes tens of milliseconds of a core.
async fn check_slowly(app: &AppState, secrets: &[&str], from: IpAddr) -> Verdict {
    let call_worker = || {
        let access = Arc::clone(&app.access);
        // It runs until nothing is left to verify, and wakes those who wait.
        drop(app.blocking.spawn_blocking(move || access.work()));
    };
    let verdict = app.access.check(secrets, from, clock::process_age(), call_worker).await;
    app.ending_keys.note(&verdict);
    verdict
}

/// Whether the caller connected from this machine, without a proxy.
fn is_on_this_machine(head: &Parts) -> bool {
    head.extensions.get::<ClientInfo>().is_none_or(|info| info.client.ip.is_loopback() && !info.via_proxy)
}

/// Once an address has failed too often, a password may be refused unseen.
const TOO_MANY: &str =
    "this password or API key is not known, or was not checked: too many failed attempts from this address";

fn granted(verdict: Verdict) -> Result<Identity, Failure> {
    match verdict {
        Verdict::Granted(identity) => Ok(identity),
        Verdict::Expired(_) => {
            Err(Failure::new(Code::CredentialExpired, "this API key has expired: ask for a new one"))
        }
        Verdict::CertificateRefused => {
            let why = "this client certificate opens nothing here: show a password or an API key";
            Err(Failure::new(Code::CredentialMissing, why))
        }
        Verdict::Missing => Err(Failure::new(Code::CredentialMissing, "a password or an API key is needed")),
        Verdict::Wrong => Err(Failure::new(Code::CredentialWrong, "this password or API key is not known")),
        Verdict::TokenRefused(refusal) => Err(identity_tokens::failure(refusal)),
        Verdict::Throttled { retry_after_seconds } => Err(Failure {
            retry_after_seconds: Some(retry_after_seconds),
            ..Failure::new(Code::TooManyAttempts, TOO_MANY)
        }
        .set_by("access.failure_limit")),
    }
}

pub fn caller(identity: &Identity, head: &Parts) -> Caller {
    Caller { credential: identity.credential, address: AddressGroup::from(client(head).ip).number() }
}

/// Whether the caller may use this session: its credential opened it, or it is an admin of every name. An unknown session
/// passes. A read-only credential uses none, because using a session keeps its holds.
pub async fn may_use(app: &AppState, identity: &Identity, head: &Parts, session: SessionId) -> Result<(), Fault> {
    if !identity.may_write() {
        return Err(Refusal::SessionOfAnother.into());
    }
    if identity.is_admin() && identity.sees_every_name() {
        return Ok(());
    }
    match app.engine.check_session_of(session, caller(identity, head)).await {
        Err(Fault::Refused(Refusal::SessionUnknown)) => Ok(()),
        looked => looked,
    }
}

/// As [`identify_with`]; also restarts the idle time of the session whose cookie the request carries, in dialects that do not
/// use the session otherwise: every request of a caller who may use it counts.
pub async fn identify_and_touch(app: &AppState, head: &Parts, extra: Option<&str>) -> Result<Identity, Failure> {
    let identity = identify_with(app, head, extra).await?;
    if let RequestCookie::Session(session) = request_cookie(&head.headers)
        && may_use(app, &identity, head, session).await.is_ok()
    {
        // A dialect without sessions does not care whether the session is known.
        let _ = app.engine.touch_session(session).await;
    }
    Ok(identity)
}

pub fn may_take(identity: &Identity, name: &str) -> Result<(), Failure> {
    let lack = || identity.lack_for(Role::Client, name);
    if identity.may_take(name) { Ok(()) } else { Err(Failure::forbidden_lock("take", name, lack())) }
}

pub fn may_read(identity: &Identity, name: &str) -> Result<(), Failure> {
    let lack = || identity.lack_for(Role::ReadOnly, name);
    if identity.may_read(name) { Ok(()) } else { Err(Failure::forbidden_lock("read", name, lack())) }
}

/// Whether it may do what `right` says to what others have of a lock.
pub fn may_administer(identity: &Identity, right: &str, name: &str) -> Result<(), Failure> {
    let lack = || identity.lack_for(Role::Admin, name);
    if identity.may_administer(name) { Ok(()) } else { Err(Failure::forbidden_lock(right, name, lack())) }
}

/// The same of the whole service.
pub fn may_operate(identity: &Identity, right: &str) -> Result<(), Failure> {
    let may = identity.is_admin() && identity.sees_every_name();
    if may { Ok(()) } else { Err(Failure::forbidden(right, identity.lack_for_all(Role::Admin))) }
}

/// Whether it may freeze, or thaw, all that a target covers; the empty one: everything.
pub fn may_freeze(identity: &Identity, right: &str, target: &str) -> Result<(), Failure> {
    match identity.may_administer(target) {
        true => Ok(()),
        false if target.is_empty() => {
            Err(Failure::forbidden(&format!("{right} everything"), identity.lack_for_all(Role::Admin)))
        }
        false => Err(Failure::forbidden(&format!("{right} {target:?}"), identity.lack_for(Role::Admin, target))),
    }
}

/// Whether it may freeze a name or a prefix in a way that ends the holds: a hold ends under all its names.
pub fn may_break(identity: &Identity) -> Result<(), Failure> {
    may_operate(identity, "end the holds under a freeze, which may have further names")
}
