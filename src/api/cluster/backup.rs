//! `GET /v1/backup`: the whole state as a stream. It holds every key and session id, so it is for operators alone.

use super::members::operator;
use crate::api::failure::from_fault;
use crate::engine::Backup;
use crate::http::app::AppState;
use crate::http::code::Code;
use crate::http::code_groups::CREDENTIAL;
use crate::http::endpoint::errors;
use crate::http::failure::Failure;
use crate::http::problem::{Problem, problem};
use crate::http::respond::{with_body, with_header};
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

errors!(BackupErrors: Problem<'_>, [Code::Forbidden, Code::NotLeader, Code::NoQuorum, Code::ShuttingDown], CREDENTIAL);

/// Take a backup
///
/// The whole state of one moment, keys and session ids included, while the service goes on. The bytes have checksums and an
/// end of their own; `latchd backup` checks them, `latchd restore` reads them.
#[utoipa::path(
    get,
    path = "/v1/backup",
    responses((status = 200, description = "The backup.", content_type = "application/octet-stream"), BackupErrors),
)]
// An error midway cuts the answer off. The format has an end mark, so a part is never taken for the whole.
pub async fn backup(State(app): State<AppState>, head: Parts) -> Response {
    let backup = match begin(&app, &head).await {
        Ok(backup) => backup,
        Err(failure) => return with_header(problem(&failure), header::CACHE_CONTROL, "no-store"),
    };
    let chunks = stream::unfold(backup, async |mut backup| backup.next().await.map(|chunk| (chunk, backup)));
    let response = with_body(StatusCode::OK, Some(BYTES), Body::from_stream(chunks));
    let response = with_header(response, header::CONTENT_DISPOSITION, "attachment; filename=\"latchd.backup\"");
    with_header(response, header::CACHE_CONTROL, "no-store")
}

async fn begin(app: &AppState, head: &Parts) -> Result<Backup, Failure> {
    let actor = operator(app, head, "take a backup").await?;
    let backup = app.engine.backup().await.map_err(from_fault)?;
    let actor = &*actor.name;
    tracing::info!(actor, "{actor} takes a backup");
    Ok(backup)
}
