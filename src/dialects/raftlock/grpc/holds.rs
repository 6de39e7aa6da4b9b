//! Acquire, Release and Renew.

use super::answer::{self, Calendar, error_detail, permission_denied, span};
use super::check::{self, TTL_DEFAULT_MS, WAIT_DEFAULT_MS};
use super::queue::{advice, advice_until, estimate_now};
use super::state::Call;
use crate::dialects::raftlock::proto::{
    AcquireRequest, AcquireResponse, Lock, ReleaseRequest, ReleaseResponse, RenewRequest, RenewResponse,
};
use crate::domain::ids::{BodyDigest, IdempotencyId};
use crate::domain::{Acquire, Dialect, FrozenBy, IdempotencyKey, Name, Pool, Proof, Refusal, Token, Wait};
use crate::engine::{Engine, Fault, Granted};
use crate::http::auth::may_take;
use crate::http::grpc::unary::Reply;
use crate::http::idempotency::owners_key;
use arcstr::ArcStr;
use prost::Message;
use std::time::Duration;
use tonic::Status;

/// The table ends a wait this much later than the client's own timeout, so that the wait is lost first.
const MARGIN_MS: u64 = 5_000;

pub async fn acquire(call: &Call<'_>, asked: AcquireRequest) -> Result<Reply<AcquireResponse>, Status> {
    check::acquire(&asked)?;
    may_take(&call.identity, &asked.lock_id).map_err(permission_denied)?;
    let acquire = Acquire {
        label: Some(ArcStr::from(&*asked.client_id)),
        reentrant: true,
        lease_ms: Some(asked.ttl.map_or(TTL_DEFAULT_MS, answer::ms)),
        priority: asked.priority,
        metadata: asked.metadata.iter().map(|(key, value)| (&**key, &**value)).collect(),
        idempotency_key: request_key(call, &asked),
        caller: call.caller(),
        ..Acquire::new(Name::from(&*asked.lock_id), Engine::new_key(), Dialect::RaftLockGrpc)
    };
    let engine = &call.app.engine;
    let answered = match asked.wait {
        true => acquire_or_wait(engine, acquire, asked.wait_timeout.map_or(WAIT_DEFAULT_MS, answer::ms)).await,
        false => engine.acquire(acquire).await,
    };
    match answered {
        Ok(granted) => Ok(acquired(call, &asked, granted)),
        Err(fault) => not_acquired(call, &asked, &fault).map(Reply::from),
    }
}

/// Takes the lock, waiting for so long.
///
/// RaftLock's Go client ends a request after 30 seconds, or gets a timeout then, and asks again under the same client id.
/// The table keeps the place of a request with an idempotency key for some seconds after it was lost, and passes it over
/// meanwhile; the next request under the same owner label takes it. So each wait has a key, one of its own where the client
/// names none, and a wait whose time is over is lost, not ended.
async fn acquire_or_wait(engine: &Engine, acquire: Acquire, timeout_ms: u64) -> Result<Granted, Fault> {
    let name = acquire.name.clone();
    let longest = engine.limits().wait_ms_max.max(timeout_ms);
    let wait = Some(Wait::Attached { timeout_ms: timeout_ms.saturating_add(MARGIN_MS).min(longest) });
    let waits = async {
        if acquire.idempotency_key.is_some() {
            return engine.acquire(Acquire { wait, ..acquire }).await;
        }
        // A key that no other request has.
        let own_key = IdempotencyKey { id: IdempotencyId(Engine::new_key().0), body: BodyDigest([0; 16]) };
        match engine.acquire(Acquire { wait, idempotency_key: Some(own_key), ..acquire.clone() }).await {
            // A wait without a key loses its place with its request, which is better than no wait.
            Err(Fault::Refused(
                Refusal::IdempotencyKeysFull { .. } | Refusal::ShareFull { pool: Pool::IdempotencyKeys, .. },
            )) => engine.acquire(Acquire { wait, ..acquire }).await,
            answered => answered,
        }
    };
    let waited = tokio::time::timeout(Duration::from_millis(timeout_ms), waits).await;
    waited.unwrap_or_else(|_| Err(timed_out(engine, &name).into()))
}

fn timed_out(engine: &Engine, name: &Name) -> Refusal {
    match engine.local_freeze_of(name) {
        Some(by) => Refusal::Frozen(Box::new(FrozenBy { waited: true, ..*by })),
        None => Refusal::WaitTimedOut,
    }
}

/// With the lock as this node's table has it; as it was granted if it has ended meanwhile.
fn acquired(call: &Call<'_>, asked: &AcquireRequest, granted: Granted) -> Reply<AcquireResponse> {
    let (engine, calendar) = (&call.app.engine, Calendar::of(call.app));
    let lock = match engine.local_hold(&Name::from(&*asked.lock_id), granted.key) {
        Some(hold) => answer::lock(&asked.lock_id, &hold, calendar),
        None => {
            let left = u64::try_from(granted.expires_in.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
            Lock {
                lock_id: asked.lock_id.clone(),
                owner_id: asked.client_id.clone(),
                version: answer::version(granted.token.0),
                acquired_at: Some(calendar.moment(engine.now())),
                expires_at: Some(calendar.moment(engine.now().after_ms(left))),
                metadata: asked.metadata.clone(),
            }
        }
    };
    let message = AcquireResponse { acquired: true, lock: Some(lock), ..AcquireResponse::default() };
    Reply { message, delivery: Some(granted.delivery) }
}

fn not_acquired(call: &Call<'_>, asked: &AcquireRequest, fault: &Fault) -> Result<AcquireResponse, Status> {
    let error = error_detail(fault)?;
    let name = Name::from(&*asked.lock_id);
    let waits = matches!(
        fault,
        Fault::Refused(Refusal::Held(_) | Refusal::WaitTimedOut | Refusal::SizeMismatch { .. } | Refusal::Frozen(_))
    );
    let estimate = waits.then(|| estimate_now(call, &name)).flatten();
    // Only waiters of EnqueueWaiter have a place.
    let mut waiting = call.app.engine.local_waiters(&name).into_iter().filter(|waiter| !waiter.orphaned);
    let place = waiting
        .find(|waiter| waiter.dialect == Dialect::RaftLockGrpc && waiter.label.as_deref() == Some(&*asked.client_id));
    Ok(AcquireResponse {
        acquired: false,
        error: Some(error),
        backoff_advice: waits.then(|| match fault {
            Fault::Refused(Refusal::Frozen(by)) => advice_until(by.remaining_ms),
            _ => advice(estimate),
        }),
        queue_position: place.map_or(0, |waiter| i32::try_from(waiter.position).unwrap_or(i32::MAX)),
        estimated_wait_duration: estimate.map(span),
        ..AcquireResponse::default()
    })
}

/// The same `request_id` asks for the same thing: the rest of the message is its body, except for the time that is
/// left to wait, which grows shorter.
fn request_key(call: &Call<'_>, asked: &AcquireRequest) -> Option<IdempotencyKey> {
    let body = || AcquireRequest { wait_timeout: None, ..asked.clone() }.encode_to_vec();
    let has_id = !asked.request_id.is_empty();
    has_id.then(|| owners_key(&call.identity, &asked.client_id, &asked.request_id, &body()))
}

pub async fn release(call: &Call<'_>, asked: ReleaseRequest) -> Result<Reply<ReleaseResponse>, Status> {
    check::release(&asked)?;
    may_take(&call.identity, &asked.lock_id).map_err(permission_denied)?;
    let proof = proof(&asked.client_id, asked.version);
    let answer = match call.app.engine.release(Name::from(&*asked.lock_id), None, proof).await {
        Ok(released) => ReleaseResponse { released: true, error: None, waiter_promoted: released.waiter_granted },
        Err(fault) => ReleaseResponse { released: false, error: Some(error_detail(&fault)?), waiter_promoted: false },
    };
    Ok(answer.into())
}

pub async fn renew(call: &Call<'_>, asked: RenewRequest) -> Result<Reply<RenewResponse>, Status> {
    check::renew(&asked)?;
    may_take(&call.identity, &asked.lock_id).map_err(permission_denied)?;
    let name = Name::from(&*asked.lock_id);
    let ttl_ms = asked.new_ttl.map_or(TTL_DEFAULT_MS, answer::ms);
    let proof = proof(&asked.client_id, asked.version);
    let answer = match call.app.engine.renew(name.clone(), None, proof, ttl_ms).await {
        Ok(renewed) => {
            let calendar = Calendar::of(call.app);
            let hold = call.app.engine.local_hold(&name, renewed.key);
            // A hold that has ended by now was renewed too late.
            let lock = hold.map(|hold| answer::lock(&asked.lock_id, &hold, calendar));
            let error = lock.is_none().then(|| error_detail(&Refusal::NoSuchLock.into())).transpose()?;
            RenewResponse { renewed: lock.is_some(), lock, error }
        }
        Err(fault) => RenewResponse { renewed: false, lock: None, error: Some(error_detail(&fault)?) },
    };
    Ok(answer.into())
}

fn proof(client_id: &str, version: i64) -> Proof {
    Proof::Label { label: ArcStr::from(client_id), token: Some(Token(version.unsigned_abs())) }
}
