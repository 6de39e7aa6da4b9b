//! What an operator does is carried out and told in the log, also if whoever asked for it hangs up meanwhile.

use super::app::AppState;
use crate::base::request_id;
use crate::domain::view::HoldView;
use crate::domain::{Name, Proof};
use crate::engine::{EngineError, Fault, Released};
use std::future::Future;
use std::sync::Arc;

/// Runs an act and the line that it leaves in the log to their end.
pub async fn carry_out<T: Send + 'static>(
    act: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    request_id::spawn(act).await.unwrap_or_else(|_| Err(EngineError::OutcomeUnknown.into()))
}

/// Ends another client's hold, and tells who did it and why, whatever the dialect. The token names the hold in the log without
/// revealing its key.
pub async fn force_release(
    app: &AppState,
    actor: &str,
    name: &Name,
    hold: &HoldView,
    reason: &str,
) -> Result<Released, Fault> {
    let (app, actor, lock, reason) = (Arc::clone(app), actor.to_owned(), name.clone(), reason.to_owned());
    let (key, token, names) = (hold.key, hold.token.0, hold.names().map(Name::to_string).collect::<Vec<_>>());
    carry_out(async move {
        let released = app.engine.force_release(lock.clone(), key).await;
        let lock = &*lock;
        match &released {
            Ok(_) => {
                tracing::warn!(
                    actor,
                    ?lock,
                    ?names,
                    token,
                    ?reason,
                    "{actor} forced the release of {lock:?}: {reason:?}"
                );
            }
            Err(Fault::Engine(EngineError::OutcomeUnknown)) => {
                let what = format!("{actor} asked to force the release of {lock:?}, with unknown outcome: {reason:?}");
                tracing::warn!(actor, ?lock, ?names, token, ?reason, "{what}");
            }
            Err(_) => {}
        }
        released
    })
    .await
}

/// Gives another client's hold a lease of so many milliseconds, which may end it soon.
pub async fn force_lease(
    app: &AppState,
    actor: &str,
    name: &Name,
    hold: &HoldView,
    lease_ms: u64,
) -> Result<(), Fault> {
    let (app, actor, lock, key, token) = (Arc::clone(app), actor.to_owned(), name.clone(), hold.key, hold.token.0);
    carry_out(async move {
        app.engine.renew(lock.clone(), None, Proof::Key(key), lease_ms).await?;
        let lock = &*lock;
        tracing::warn!(
            actor,
            ?lock,
            token,
            lease_ms,
            "{actor} forced a lease of {lease_ms} ms on the hold of {lock:?}"
        );
        Ok(())
    })
    .await
}
