//! Answers of our own endpoints: JSON or a stream, else a problem document. None may be cached.

use crate::http::Failure;
use crate::http::problem::problem;
use crate::http::respond::{json, to_json, with_header};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub type Answer = Result<Response, Refused>;

/// A failure that is answered with a problem document.
pub struct Refused(Failure);

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused(failure)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        uncached(problem(&self.0))
    }
}

pub fn answer(body: &impl Serialize) -> Answer {
    Ok(uncached(json(StatusCode::OK, to_json(body))))
}

pub fn uncached(response: Response) -> Response {
    with_header(response, header::CACHE_CONTROL, "no-store")
}
