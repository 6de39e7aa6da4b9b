//! The right to change the cluster and to see its whole state.

use crate::access::Identity;
use crate::http::AppState;
use crate::http::auth::identify;
use crate::http::failure::Failure;
use axum::http::request::Parts;

/// The caller, who must be an admin of every name.
pub async fn operator(app: &AppState, head: &Parts, right: &'static str) -> Result<Identity, Failure> {
    let actor = identify(app, head).await?;
    if actor.is_admin() && actor.sees_every_name() { Ok(actor) } else { Err(Failure::forbidden(right, None)) }
}
