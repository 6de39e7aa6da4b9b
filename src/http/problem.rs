//! RFC 9457 problem documents: the error shape of every endpoint that is ours alone.

use super::deadlock::BlockedBy;
use super::failure::Failure;
use super::frozen::Frozen;
use super::respond;
use crate::base::request_id;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

pub const PROBLEM_JSON: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
pub struct Problem<'a> {
    /// Stable for each code: a path below `/docs/errors`.
    #[schema(example = "/docs/errors#held")]
    r#type: String,
    #[schema(example = "The lock is held")]
    title: &'a str,
    #[schema(example = 409)]
    status: u16,
    detail: &'a str,
    /// Stable name of the error.
    #[schema(example = "held")]
    code: &'a str,
    /// The same request may succeed later, and sending it again does no harm.
    retryable: bool,
    /// The field of the request that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The bound that was exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// The key of the server's `config.toml` that sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "locks.lease_max")]
    config_key: Option<&'a str>,
    /// The highest token that was accepted for the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<u64>,
    /// Who is in the way of whom, each waiting for the next, and the last for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<BlockedBy>>)]
    cycle: Option<&'a [BlockedBy]>,
    /// The freeze that keeps the lock from being granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Frozen>)]
    frozen: Option<&'a Frozen>,
    /// The `x-request-id` of the answer, which the server's log lines have too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "0f8fad5bd9cb469fa16570867728950e")]
    request_id: Option<String>,
}

pub fn problem(failure: &Failure) -> Response {
    let mut response = respond::json(failure.code.status(), document(failure));
    let content_type = HeaderValue::from_static(PROBLEM_JSON);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    respond::with_failure_headers(response, failure)
}

/// The JSON of a failure.
pub fn document(failure: &Failure) -> Vec<u8> {
    let row = failure.code.row();
    respond::to_json(&Problem {
        r#type: format!("/docs/errors#{}", row.name),
        title: row.title,
        status: row.status.as_u16(),
        detail: &failure.detail,
        code: row.name,
        retryable: row.retryable,
        field: failure.field,
        limit: failure.limit,
        config_key: failure.config_key,
        mark: failure.more.as_ref().and_then(|more| more.mark),
        cycle: failure.more.as_ref().and_then(|more| more.cycle.as_deref()),
        frozen: failure.more.as_ref().and_then(|more| more.frozen.as_ref()),
        request_id: request_id::current(),
    })
}
