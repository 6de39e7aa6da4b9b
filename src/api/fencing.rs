//! Fencing: is this token the newest of a lock, and did a resource accept a newer one before?

use super::inspect::query::{NameInPath, checked_name_in, lock_name, lock_name_in_query};
use super::known_parameters::check_parameters;
use crate::access::Identity;
use crate::api::answer::{Answer, answer};
use crate::domain::{Name, Token};
use crate::http::auth::{self, identify_and_touch, may_read, may_take};
use crate::http::declaration::get;
use crate::http::endpoint::{BODY, CREDENTIAL, Chapter, Documentation, READ, WRITE, errors};
use crate::http::json_object::{FieldName, Trailing, parse};
use crate::http::query::Captured;
use crate::http::{App, AppState, Code, Declaration, Failure, Problem, Query, Routes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

pub static DECLARATION: Declaration = Declaration {
    label: "fencing",
    dialect: None,
    services: &[],
    routes: |app, _| check_parameters(routes(), app).with_state(AppState::clone(app)),
    documentation: Some(&Documentation {
        chapter: Chapter::Own,
        tag: "Fencing",
        about: "A holder that was paused may still write when another one has the lock. What is written to refuses the lower \
            fencing token: with a check of its own, which is best, or with one of these.",
        endpoints: || routes().into_endpoints(),
        schemas: |_| (),
    }),
};

fn routes() -> Routes<AppState> {
    Routes::new()
        .described::<__path_check_token>(get(check_token))
        .described::<__path_check_token_by_name>(get(check_token_by_name).post(raise_mark))
        .also::<__path_raise_mark>()
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`token_in_query` reads it")]
struct TokenQuery {
    /// The fencing token to check.
    #[param(minimum = 1, example = 1834265837634560i64)]
    token: u64,
}

/// What a lock says of a token.
#[derive(Serialize, ToSchema)]
pub struct TokenCheck {
    /// No present hold of the lock has a higher token, and one has this.
    newest: bool,
    /// A present hold of the lock has this token.
    held: bool,
    /// The highest token of the present holds; `null` without any.
    newest_token: Option<u64>,
}

#[derive(ToSchema)]
pub struct MarkRequest {
    /// What is protected. Its mark is its own: it need not be the name of a lock, and two resources under one lock have
    /// two marks.
    #[schema(format = "lock-name", min_length = 1, example = "orders/database")]
    #[expect(dead_code, reason = "describes the field that `asked_mark` reads")]
    resource: String,
    /// The fencing token of the writer.
    #[schema(minimum = 1, example = 1834265837634560i64)]
    #[expect(dead_code, reason = "describes the field that `asked_mark` reads")]
    token: u64,
}

/// The token was accepted.
#[derive(Serialize, ToSchema)]
pub struct MarkRaised {
    /// `true`
    accepted: bool,
    /// The highest token that was accepted for the resource.
    mark: u64,
}

const READS: [Code; 3] = [Code::InvalidField, Code::LimitExceeded, Code::Forbidden];
const RAISES: [Code; 5] =
    [Code::UnsupportedMediaType, Code::TokenBelowMark, Code::MarksFull, Code::TableFull, Code::ShareFull];
errors!(CheckErrors: Problem<'_>, READS, CREDENTIAL, READ);
errors!(RaiseErrors: Problem<'_>, BODY, READS, RAISES, [Code::NotYet], CREDENTIAL, WRITE);

/// Check a fencing token
///
/// Linearizable on any node: when it was asked, this was so. It may change before the answer arrives, so that only a check of
/// what is written to excludes every overlap. Clients and proxies change some names on the way: `GET /v1/fence?name=` takes any.
#[utoipa::path(
    get,
    path = "/v1/locks/{name}/fence",
    params(NameInPath, TokenQuery),
    responses((status = 200, description = "What the lock says of the token.", body = TokenCheck), CheckErrors),
)]
pub async fn check_token(State(app): State<AppState>, captured: Captured, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    check(&app, &viewer, lock_name(&app, &captured)?, &head).await
}

/// Check a fencing token of a lock with any name
///
/// Linearizable on any node: when it was asked, this was so. It may change before the answer arrives, so that only a check of
/// what is written to excludes every overlap.
#[utoipa::path(
    get,
    path = "/v1/fence",
    params(
        ("name" = String, Query, description = "The lock's name.", format = "lock-name", min_length = 1, example = "deploy/production"),
        TokenQuery,
    ),
    responses((status = 200, description = "What the lock says of the token.", body = TokenCheck), CheckErrors),
)]
pub async fn check_token_by_name(State(app): State<AppState>, head: Parts) -> Answer {
    let viewer = identify_and_touch(&app, &head, None).await?;
    let name = lock_name_in_query(&app, Query::of(&head.uri))?;
    check(&app, &viewer, name.ok_or_else(|| Failure::field("name", "name must be given in the query"))?, &head).await
}

async fn check(app: &App, viewer: &Identity, name: Name, head: &Parts) -> Answer {
    let token = token_in_query(Query::of(&head.uri))?;
    may_read(viewer, &name)?;
    let tokens = app.engine.live_tokens(&name).await.map_err(Failure::of)?;
    let newest = tokens.iter().max().copied();
    let (is_newest, held) = (newest == Some(token), tokens.contains(&token));
    answer(&TokenCheck { newest: is_newest, held, newest_token: newest.map(|token| token.0) })
}

fn token_in_query(query: Query<'_>) -> Result<Token, Failure> {
    let text = query.text("token")?;
    let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    token(digits.and_then(|text| text.parse().ok()))
}

fn token(number: Option<u64>) -> Result<Token, Failure> {
    let known = number.filter(|number| (1..Token::END).contains(number));
    known.map(Token).ok_or_else(|| {
        let detail = format!("token must be given: a whole number from 1 to {}", Token::END - 1);
        Failure::field("token", detail).with_limit(Token::END - 1)
    })
}

/// Raise the high-water mark of a resource
///
/// For what cannot remember a token itself: it asks before each write, and does not write if this is refused. A token that is
/// lower than one accepted before is refused with `token-below-mark`, and an equal one accepted. A mark that is not used for
/// `fences.mark_idle` is forgotten; there are at most `fences.marks_max`.
#[utoipa::path(
    post,
    path = "/v1/fence",
    request_body(content = MarkRequest),
    responses((status = 200, description = "Accepted: no higher token was before.", body = MarkRaised), RaiseErrors),
)]
pub async fn raise_mark(State(app): State<AppState>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let caller = identify_and_touch(&app, &head, None).await?;
    let (resource, token) = asked_mark(&app, &app.body(&head, body).await?)?;
    may_take(&caller, &resource)?;
    let raised = app.engine.raise_mark(resource, token, auth::caller(&caller, &head)).await;
    answer(&MarkRaised { accepted: true, mark: raised.map_err(Failure::of)?.0 })
}

fn asked_mark(app: &App, body: &[u8]) -> Result<(Name, Token), Failure> {
    static FIELDS: [FieldName; 2] = [FieldName::word("resource"), FieldName::word("token")];
    let [resource, number] = parse(body, &FIELDS, Trailing::Refused, app.settings.unknown_fields)?;
    let resource = resource.text("resource")?.filter(|resource| !resource.is_empty());
    let resource = resource.ok_or_else(|| Failure::field("resource", "resource must be given, and not be empty"))?;
    let whole = number.number("token")?.filter(|number| number.fract() == 0.0 && *number > 0.0);
    Ok((checked_name_in(app, "resource", &resource)?, token(whole.map(|number| number as u64))?))
}
