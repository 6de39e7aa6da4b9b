//! EnqueueWaiter, CancelWait, GetBackoffAdvice: waiting without a request, and how long it may take.

use super::answer::{self, error_detail, permission_denied, span};
use super::check::{self, TTL_DEFAULT_MS};
use super::state::Call;
use crate::dialects::raftlock::proto::{
    BackoffAdvice, BackoffAdviceRequest, BackoffAdviceResponse, CancelWaitRequest, CancelWaitResponse,
    EnqueueWaiterRequest, EnqueueWaiterResponse, ErrorCode,
};
use crate::domain::view::{HoldView, LockView};
use crate::domain::{Acquire, Dialect, Name, Wait};
use crate::engine::Engine;
use crate::http::AppState;
use crate::http::auth::{may_read, may_take};
use crate::http::grpc::unary::Reply;
use arcstr::ArcStr;
use std::time::Duration;
use tonic::Status;

/// No estimate is longer, and neither is the pause that is advised under a freeze: by then more is known.
const ESTIMATE_MAX: Duration = Duration::from_secs(30);

pub async fn enqueue(call: &Call<'_>, asked: EnqueueWaiterRequest) -> Result<Reply<EnqueueWaiterResponse>, Status> {
    check::enqueue(&asked)?;
    may_take(&call.identity, &asked.lock_id).map_err(permission_denied)?;
    let name = Name::from(&*asked.lock_id);
    let engine = &call.app.engine;
    if holds_it(engine, &name, &asked.client_id).await? {
        // The holder has nothing to wait for: it keeps its version and gets no place.
        let error = answer::error(ErrorCode::LockHeld, "lockmanager: lock is already held by this client");
        return Ok(EnqueueWaiterResponse { error: Some(error), ..EnqueueWaiterResponse::default() }.into());
    }
    let acquire = Acquire {
        label: Some(ArcStr::from(&*asked.client_id)),
        reentrant: true,
        lease_ms: Some(TTL_DEFAULT_MS),
        wait: Some(Wait::Detached { timeout_ms: asked.timeout.map_or(1, answer::ms) }),
        priority: asked.priority,
        caller: call.caller(),
        ..Acquire::new(name.clone(), Engine::new_key(), Dialect::RaftLockGrpc)
    };
    let answer = match engine.enqueue(acquire).await {
        Ok(place) => {
            let estimate = place.and_then(|position| Some(estimate(call, &lock_now(call.app, &name)?, position)));
            EnqueueWaiterResponse {
                enqueued: true,
                position: i32::try_from(place.unwrap_or(0)).unwrap_or(i32::MAX),
                estimated_wait_duration: Some(span(estimate.unwrap_or_default())),
                error: None,
            }
        }
        Err(fault) => EnqueueWaiterResponse { error: Some(error_detail(&fault)?), ..EnqueueWaiterResponse::default() },
    };
    Ok(answer.into())
}

async fn holds_it(engine: &Engine, name: &Name, client_id: &str) -> Result<bool, Status> {
    let (lock, _) = engine.lock(name).await.map_err(|fault| answer::status(&fault))?;
    let own = |hold: &HoldView| hold.dialect == Dialect::RaftLockGrpc && hold.label.as_deref() == Some(client_id);
    Ok(lock.is_some_and(|lock| lock.holds.iter().any(own)))
}

pub async fn cancel(call: &Call<'_>, asked: CancelWaitRequest) -> Result<Reply<CancelWaitResponse>, Status> {
    check::cancel(&asked)?;
    may_take(&call.identity, &asked.lock_id).map_err(permission_denied)?;
    let cancelled = call.app.engine.cancel_wait(Name::from(&*asked.lock_id), ArcStr::from(&*asked.client_id)).await;
    let error = cancelled.err().map(|fault| error_detail(&fault)).transpose()?;
    Ok(CancelWaitResponse { cancelled: error.is_none(), error }.into())
}

pub async fn backoff(call: &Call<'_>, asked: BackoffAdviceRequest) -> Result<Reply<BackoffAdviceResponse>, Status> {
    check::lock_id(&asked.lock_id)?;
    may_read(&call.identity, &asked.lock_id).map_err(permission_denied)?;
    let (lock, _) = call.app.engine.lock(&Name::from(&*asked.lock_id)).await.map_err(|fault| answer::status(&fault))?;
    let held = lock.filter(|lock| !lock.holds.is_empty());
    let estimate = held.map(|lock| estimate(call, &lock, lock.waiters));
    let frozen = call.app.engine.local_freeze_of(&Name::from(&*asked.lock_id)).map(|by| by.remaining_ms);
    Ok(BackoffAdviceResponse { advice: Some(frozen.map_or_else(|| advice(estimate), advice_until)) }.into())
}

/// Nobody is granted the lock for so long.
pub fn advice_until(remaining_ms: u64) -> BackoffAdvice {
    let pause = Duration::from_millis(remaining_ms).min(ESTIMATE_MAX);
    BackoffAdvice { initial_backoff: Some(span(pause)), max_backoff: Some(span(pause)), ..advice(None) }
}

/// RaftLock's advice for a wait of this length; `None`: the lock is free.
pub fn advice(estimate: Option<Duration>) -> BackoffAdvice {
    let (initial, longest) = match estimate {
        Some(estimate) => (estimate / 4, estimate * 2),
        None => (Duration::from_millis(50), Duration::from_secs(1)),
    };
    BackoffAdvice {
        initial_backoff: Some(span(initial)),
        max_backoff: Some(span(longest)),
        multiplier: 1.5,
        jitter_factor: 0.2,
    }
}

/// How long a new waiter would wait; `None`: not at all.
pub fn estimate_now(call: &Call<'_>, name: &Name) -> Option<Duration> {
    lock_now(call.app, name).map(|lock| estimate(call, &lock, lock.waiters))
}

fn lock_now(app: &AppState, name: &Name) -> Option<LockView> {
    app.engine.local_lock(name).filter(|lock| !lock.holds.is_empty())
}

/// What is left of the hold, and a hold of the usual length for each of those ahead. The usual length is what was
/// measured over the last minute; where nothing was, half of what the lease has left, as RaftLock guesses. What was
/// measured of all names is not for a credential that sees a part of them.
fn estimate(call: &Call<'_>, lock: &LockView, ahead: u32) -> Duration {
    let now = call.app.engine.now();
    let left = lock.holds.iter().filter_map(|hold| hold.deadline).map(|deadline| deadline.since(now)).min();
    let measured = call.state.rates.borrow().average_hold.filter(|_| call.identity.sees_every_name());
    expected(left, measured, ahead)
}

fn expected(left: Option<Duration>, measured: Option<Duration>, ahead: u32) -> Duration {
    let usual = measured.or(left.map(|left| left / 2)).unwrap_or(ESTIMATE_MAX);
    let first = left.map_or(usual, |left| left.min(usual));
    let whole = first.saturating_add(usual.saturating_mul(ahead));
    let shortest =
        left.filter(|left| *left > Duration::from_secs(1)).map_or(Duration::ZERO, |_| Duration::from_secs(1));
    whole.clamp(shortest, ESTIMATE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn estimate_uses_measured_holds_bounded_by_the_lease() {
        assert_eq!(expected(Some(s(20)), Some(s(4)), 0), s(4));
        assert_eq!(expected(Some(s(2)), Some(s(4)), 2), s(10));
        assert_eq!(expected(Some(s(20)), None, 0), s(10), "RaftLock's guess");
        assert_eq!(expected(Some(s(20)), Some(Duration::from_millis(5)), 0), s(1), "not worth a busy loop");
        assert_eq!(expected(None, None, 0), ESTIMATE_MAX);
        assert_eq!(expected(Some(s(20)), Some(s(4)), 1_000_000), ESTIMATE_MAX);
    }

    #[test]
    fn advice_for_a_free_lock_is_raftlocks() {
        let free = advice(None);
        assert_eq!((free.initial_backoff, free.max_backoff), (Some(span(Duration::from_millis(50))), Some(span(s(1)))));
        let held = advice(Some(s(8)));
        assert_eq!((held.initial_backoff, held.max_backoff), (Some(span(s(2))), Some(span(s(16)))));
        assert_eq!((held.multiplier, held.jitter_factor), (1.5, 0.2));
        let frozen = [700, 3_600_000].map(|ms| advice_until(ms).initial_backoff);
        assert_eq!(frozen, [Some(span(Duration::from_millis(700))), Some(span(ESTIMATE_MAX))]);
    }
}
