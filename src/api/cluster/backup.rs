//! `GET /v1/backup`: the whole state as a stream. It holds every key and session id, so it is for operators alone.

use super::members::operator;
use crate::api::answer::{Answer, uncached};
use crate::audit::{Act, Action};
use crate::http::endpoint::{ACT, CREDENTIAL, errors};
use crate::http::respond::{with_body, with_header};
use crate::http::{AppState, Code, Failure, Problem, administration};
use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use futures_util::stream;

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

errors!(BackupErrors: Problem<'_>, ACT, [Code::NotLeader, Code::NoQuorum, Code::ShuttingDown], CREDENTIAL);

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
pub async fn backup(State(app): State<AppState>, head: Parts) -> Answer {
    let actor = operator(&app, &head, "take a backup").await?;
    let (engine, by) = (app.engine.clone(), administration::by(&actor, &head));
    let begun = administration::carry_out(&app, by, Act::new(Action::Backup), None, async move {
        let backup = engine.backup().await?;
        let actor = &*actor.name;
        tracing::info!(actor, "{actor} takes a backup");
        Ok(backup)
    });
    let backup = begun.await?.map_err(Failure::of)?;
    let chunks = stream::unfold(backup, async |mut backup| backup.next().await.map(|chunk| (chunk, backup)));
    let response = with_body(StatusCode::OK, Some(BYTES), Body::from_stream(chunks));
    Ok(uncached(with_header(response, header::CONTENT_DISPOSITION, "attachment; filename=\"latchd.backup\"")))
}
