//! Routes of our own that have one method: any other is answered with a problem document.

use super::code::Code;
use super::failure::Failure;
use super::problem::problem;
use axum::handler::Handler;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{self, MethodRouter};

/// A path that is only read.
pub fn get<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    routing::get(handler).fallback(method_not_allowed)
}

/// A path that is only posted to.
pub fn post<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    routing::post(handler).fallback(method_not_allowed)
}

/// A path that is only deleted.
pub fn delete<H, T, S>(handler: H) -> MethodRouter<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    routing::delete(handler).fallback(method_not_allowed)
}

/// The answer to a method that a path of ours does not have; the router adds which it has.
pub async fn method_not_allowed(method: Method) -> Response {
    problem(&Failure::new(Code::MethodNotAllowed, format!("{method} is not allowed here")))
}
