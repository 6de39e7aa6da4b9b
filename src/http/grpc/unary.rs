//! Unary calls: credentials, the message, the deadline, the answer with its trailers.

use super::frame;
use crate::access::Identity;
use crate::domain::Caller;
use crate::engine::GrantGuard;
use crate::http::app::AppState;
use crate::http::auth::{caller, identify};
use crate::http::catalog::Catalog;
use crate::http::connection::ClientInfo;
use crate::http::delivery::{pending, with_trailers};
use crate::http::failure::Failure;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts};
use axum::response::Response;
use prost::Message;
use std::time::Duration;
use tonic::Status;

pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// A call whose caller is known, with the state of its service.
pub struct Call<'a, S> {
    pub app: &'a AppState,
    pub state: &'a S,
    pub head: &'a Parts,
    pub identity: Identity,
}

/// An answer, and the hold that is released unless it arrives.
pub struct Reply<M> {
    pub message: M,
    pub delivery: Option<GrantGuard>,
}

impl<M> From<M> for Reply<M> {
    fn from(message: M) -> Reply<M> {
        Reply { message, delivery: None }
    }
}

/// The route of a procedure, with a state that has the field `app`.
macro_rules! unary_route {
    ($state:ty, $procedure:path) => {
        axum::routing::any(
            async |axum::extract::State(state): axum::extract::State<$state>, request: axum::extract::Request| {
                $crate::http::grpc::unary::unary(&state.app, &state, request, $procedure).await
            },
        )
    };
}
pub(crate) use unary_route;

/// Credentials first, then the message, then the procedure, for as long as the caller waits.
pub async fn unary<S, Asked: Message + Default, Answer: Message>(
    app: &AppState,
    state: &S,
    request: Request,
    procedure: impl AsyncFnOnce(&Call<'_, S>, Asked) -> Result<Reply<Answer>, Status>,
) -> Response {
    let (head, body) = request.into_parts();
    if let Some(refusal) = not_grpc(&head) {
        return refusal;
    }
    let called = async {
        let identity = identify(app, &head).await?;
        let asked = frame::decode(&app.message(&head, body).await?)?;
        let call = Call { app, state, head: &head, identity };
        with_deadline(deadline(&head)?, procedure(&call, asked)).await
    };
    match called.await {
        Ok(reply) => answer(&head, reply),
        Err(status) => failed(&status),
    }
}

pub fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let suffix = content_type.and_then(|text| text.strip_prefix(CONTENT_TYPE.as_bytes()));
    // gRPC-Web has other frames.
    matches!(suffix.map(<[u8]>::first), Some(None | Some(b'+' | b';')))
}

/// The answer to a request that does not speak gRPC.
pub fn not_grpc(head: &Parts) -> Option<Response> {
    let status = match (is_grpc(&head.headers), head.method == Method::POST) {
        (true, true) => return None,
        (true, false) => StatusCode::METHOD_NOT_ALLOWED,
        (false, _) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    };
    let mut response = failed(&Status::invalid_argument("gRPC is asked by POST with content-type application/grpc"));
    *response.status_mut() = status;
    Some(response)
}

/// The answer to an unknown service or method, with the messages of Go's server.
pub fn unknown(catalog: &Catalog, head: &Parts) -> Response {
    let path = head.uri.path().trim_start_matches('/');
    let text = match path.split_once('/') {
        Some((service, method)) if catalog.has_service(service) => {
            format!("unknown method {method} for service {service}")
        }
        Some((service, _)) => format!("unknown service {service}"),
        None => format!("malformed method name: {path:?}"),
    };
    failed(&Status::unimplemented(text))
}

/// The answer to a call that reached no method.
pub fn refused(failure: Failure) -> Response {
    failed(&failure.into())
}

/// An answer without a message.
pub fn failed(status: &Status) -> Response {
    status.clone().into_http::<Body>()
}

/// The head of an answer that has messages.
pub fn respond(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, CONTENT_TYPE);
    response
}

fn answer<M: Message>(head: &Parts, reply: Reply<M>) -> Response {
    let pending = reply.delivery.and_then(|delivery| pending(head, delivery));
    respond(with_trailers(frame::encode(&reply.message), frame::ok_trailers(), pending))
}

/// The client gives up at its deadline. Enforcing it here too ends the wait if its cancellation is lost.
async fn with_deadline<T>(
    deadline: Option<Duration>,
    procedure: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match deadline {
        None => procedure.await,
        Some(deadline) => match tokio::time::timeout(deadline, procedure).await {
            Ok(ended) => ended,
            Err(_) => Err(Status::deadline_exceeded("the deadline of the call has passed")),
        },
    }
}

fn deadline(head: &Parts) -> Result<Option<Duration>, Status> {
    let text = "grpc-timeout must be up to eight digits and a unit of H, M, S, m, u, n";
    let timeout = head.headers.get(GRPC_TIMEOUT).map(|value| parse_timeout(value.as_bytes()));
    timeout.map(|timeout| timeout.ok_or_else(|| Status::invalid_argument(text))).transpose()
}

/// The value of `grpc-timeout`: up to eight digits and a unit.
pub fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

impl<S> Call<'_, S> {
    pub fn caller(&self) -> Caller {
        caller(&self.identity, self.head)
    }

    /// The connection that carries this call; `None` when it was called in process.
    pub fn client_info(&self) -> Option<&ClientInfo> {
        self.head.extensions.get::<ClientInfo>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = axum::http::Request::builder().method("POST");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("sound").into_parts().0
    }

    #[test]
    fn content_types_of_grpc_are_recognised() {
        for yes in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert!(is_grpc(&head(&[("content-type", yes)]).headers), "{yes}");
        }
        for no in ["application/grpc-web", "application/json", ""] {
            assert!(!is_grpc(&head(&[("content-type", no)]).headers), "{no}");
        }
        assert!(!is_grpc(&head(&[]).headers));
    }

    #[test]
    fn deadlines_parse_in_every_unit() {
        let read = |text| deadline(&head(&[("grpc-timeout", text)])).expect("sound");
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        assert_eq!(deadline(&head(&[])).expect("sound"), None);
        for malformed in ["", "5", "S", "123456789S", "-1S", "1x", "1.5S"] {
            assert!(deadline(&head(&[("grpc-timeout", malformed)])).is_err(), "{malformed:?}");
        }
    }
}
