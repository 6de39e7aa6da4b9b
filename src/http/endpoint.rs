//! The OpenAPI document from the code: `#[utoipa::path]` beside each handler, gathered by the declarations.
//!
//! utoipa-axum's `routes!` would give each described method a handler of its own. The dialects answer every method of a
//! path in one handler, because their predecessors look at the credential before the method. So [`Routes`] takes the path
//! of a route from its description.
//!
//! [`Routes`]: super::declaration::Routes

use super::code::Code;
use super::problem::{PROBLEM_JSON, Problem};
use super::respond::CHALLENGE;
use std::collections::BTreeMap;
use utoipa::__dev::{ComposeSchema, SchemaReferences};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, Operation};
use utoipa::openapi::schema::{AnyOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoParams, ToSchema};

/// The part of the OpenAPI document that a declaration adds.
pub struct Documentation {
    pub chapter: Chapter,
    pub tag: &'static str,
    pub about: &'static str,
    pub endpoints: fn() -> Vec<Endpoint>,
    /// Adds the shapes that no endpoint has as its body or answer: those of errors.
    pub schemas: fn(&mut Schemas),
}

/// Where a tag stands in the document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Chapter {
    /// The dialect that new clients take.
    Native,
    /// Our own API beside it.
    Own,
    Predecessor,
    /// Probes, metrics, documents and pages.
    Service,
}

/// Named shapes of bodies and answers.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// Adds a shape, and those that it refers to.
pub fn add_schema<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// One method of one path.
pub struct Endpoint {
    pub path: String,
    pub method: HttpMethod,
    pub operation: Operation,
    pub schemas: Schemas,
}

impl Endpoint {
    /// The endpoint that `#[utoipa::path]` describes.
    pub fn of<P: utoipa::Path + SchemaReferences>() -> Endpoint {
        let mut schemas = Schemas::new();
        P::schemas(&mut schemas);
        let method = P::methods().pop().expect("the macro demands a method");
        Endpoint { path: P::path(), method, operation: P::operation(), schemas }
    }
}

/// The shape in which a dialect writes errors.
pub trait ErrorShape: ToSchema {
    const CONTENT_TYPE: &'static str = "application/json";
}

impl ErrorShape for Problem<'_> {
    const CONTENT_TYPE: &'static str = PROBLEM_JSON;
}

/// Declares the errors of an endpoint for `responses(...)`: their shape, and groups of codes of the one table.
macro_rules! errors {
    ($name:ident: $shape:ty, $($group:expr),+) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> $crate::http::endpoint::Responses {
                $crate::http::endpoint::error_responses::<$shape>(&[$(&$group),+])
            }
        }
    };
}
pub(crate) use errors;

// Groups of codes that many endpoints can answer with.

/// Errors of endpoints that need a credential.
pub const CREDENTIAL: [Code; 7] = [
    Code::CredentialMissing,
    Code::CredentialWrong,
    Code::CredentialExpired,
    Code::IdentityTokenRefused,
    Code::TooManyAttempts,
    Code::RateExceeded,
    Code::IssuerUnreachable,
];

/// Errors of linearizable reads.
pub const READ: [Code; 4] = [Code::NotLeader, Code::NoQuorum, Code::ShuttingDown, Code::Overloaded];

/// Errors of commands that change the table.
pub const WRITE: [Code; 7] = [
    Code::NotLeader,
    Code::NoQuorum,
    Code::ShuttingDown,
    Code::OutcomeUnknown,
    Code::StorageFailed,
    Code::DiskFull,
    Code::Overloaded,
];

/// Errors of acts of operators, which the audit log has a line of first.
pub const ACT: [Code; 2] = [Code::Forbidden, Code::AuditUnwritten];

/// Errors of requests that read a body of any form.
pub const BODY: [Code; 3] = [Code::MalformedBody, Code::BodyTooLarge, Code::BodyTimeout];

/// Errors of commands that add a hold to the table.
pub const NEW_HOLD: [Code; 5] =
    [Code::HoldsFull, Code::TableFull, Code::QuotaFull, Code::ShareFull, Code::DiskNearlyFull];

/// Errors of requests with an idempotency key.
pub const KEYED: [Code; 3] = [Code::RequestReused, Code::RequestEnded, Code::RequestsFull];

/// Answered before any route is looked up.
#[derive(utoipa::IntoResponses)]
#[response(status = 431, description = "The header section is larger than `server.header_bytes_max`.")]
pub struct HeaderTooLarge;

/// Answers by their status.
pub type Responses = BTreeMap<String, RefOr<Response>>;

/// One answer for each status of these codes.
pub fn error_responses<E: ErrorShape>(groups: &[&[Code]]) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in groups.iter().copied().flatten() {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    by_status.iter().map(|(status, codes)| (status.to_string(), error_response::<E>(codes).into())).collect()
}

fn error_response<E: ErrorShape>(codes: &[Code]) -> Response {
    let named: Vec<String> = codes.iter().map(|code| format!("`{}`", code.row().name)).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(E::name()))).build();
    let mut response = ResponseBuilder::new().description(named.join(", ")).content(E::CONTENT_TYPE, content);
    let header = |about: &str| HeaderBuilder::new().description(Some(about)).build();
    if codes.iter().any(|code| code.has_retry_after()) {
        response = response.header("Retry-After", header("Seconds to wait before asking again."));
    }
    if codes.contains(&Code::CredentialMissing) {
        response = response.header("WWW-Authenticate", header(&format!("`{CHALLENGE}`")));
    }
    response.build()
}

/// One of two shapes, which `oneOf` would call ambiguous where one has all fields of the other.
pub struct Either<A, B>(A, B);

impl<A: ToSchema, B: ToSchema> ToSchema for Either<A, B> {
    fn schemas(schemas: &mut Schemas) {
        add_schema::<A>(schemas);
        add_schema::<B>(schemas);
    }
}

impl<A: ToSchema, B: ToSchema> ComposeSchema for Either<A, B> {
    fn compose(_: Vec<RefOr<Schema>>) -> RefOr<Schema> {
        let items = [A::name(), B::name()].map(Ref::from_schema_name);
        Schema::from(items.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).build()).into()
    }
}

/// The header by which a repeated request is recognised.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes the header that `idempotency` reads")]
pub struct IdempotencyHeader {
    /// Anything unique: asked again under the same key, on any node, the request gives the same.
    #[param(rename = "Idempotency-Key", required = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    key: String,
}

const _: () = assert!(super::idempotency::KEY_BYTES_MAX == 255, "`max_length` here and of the fields `request_id`");
