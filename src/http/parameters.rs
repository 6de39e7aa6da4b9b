//! The query parameters of the API that is latchd's own: those that its description names, and no others.

use super::problem::problem;
use super::query::Query;
use super::service::Shared;
use super::unknown::check_query;
use crate::api::openapi;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

/// Surrounds the routes whose errors are problem documents.
pub async fn only_known(State(service): State<Shared>, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let known = uri.query().and_then(|_| openapi::query_parameters(uri.path(), request.method()));
    let checked = known.map_or(Ok(()), |known| check_query(Query::of(uri), known, service.settings.unknown));
    match checked {
        Ok(()) => next.run(request).await,
        Err(failure) => problem(&failure),
    }
}
