//! Waiting by Acquire. RaftLock's Go client ends a request after 30 seconds, or gets a timeout then, and asks again under
//! the same client id: its place in the queue is kept for that.
//!
//! The table keeps the place of a request with an idempotency key for some seconds after it was lost, and passes it over
//! meanwhile; whoever asks again under the same owner label takes it. So each wait has a key, one of its own where the
//! client names none, and a wait whose time is over is lost, not ended.

use crate::domain::ids::{BodyDigest, RequestId};
use crate::domain::{Acquire, IdempotencyKey, Pool, Refusal, Wait};
use crate::engine::{Engine, Fault, Granted};
use std::time::Duration;

/// The table ends a wait this much later than the client hears of it, so that the wait is lost first.
const MARGIN_MS: u64 = 5_000;

/// Takes the lock, waiting for so long.
pub async fn acquire(engine: &Engine, acquire: Acquire, timeout_ms: u64) -> Result<Granted, Fault> {
    let longest = engine.limits().wait_ms_max.max(timeout_ms);
    let wait = Some(Wait::Attached { timeout_ms: timeout_ms.saturating_add(MARGIN_MS).min(longest) });
    let waits = async {
        if acquire.idempotency_key.is_some() {
            return engine.acquire(Acquire { wait, ..acquire }).await;
        }
        match engine.acquire(Acquire { wait, idempotency_key: Some(own_key()), ..acquire.clone() }).await {
            // A wait without a key loses its place with its request, which is better than no wait.
            Err(Fault::Refused(Refusal::RequestsFull { .. } | Refusal::ShareFull { pool: Pool::Requests, .. })) => {
                engine.acquire(Acquire { wait, ..acquire }).await
            }
            answered => answered,
        }
    };
    let waited = tokio::time::timeout(Duration::from_millis(timeout_ms), waits).await;
    waited.unwrap_or_else(|_| Err(Refusal::WaitTimedOut.into()))
}

/// A key that no other request has.
fn own_key() -> IdempotencyKey {
    IdempotencyKey { id: RequestId(Engine::new_key().0), body: BodyDigest([0; 16]) }
}
