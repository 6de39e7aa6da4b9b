//! Terraform's and OpenTofu's `http` backend, its locking: `lock_address` and `unlock_address`.
//!
//! The methods are those that Terraform sends by default, LOCK and UNLOCK, and those that other servers have their users
//! set. There is no wait: Terraform asks again by itself (`-lock-timeout`).

mod holds;
mod lock_info;
mod state;
mod target;

use crate::domain::Dialect;
use crate::http::auth::{identify_and_touch, may_take};
use crate::http::endpoint::{Chapter, Documentation, add_schema};
use crate::http::problem::problem;
use crate::http::unknown_fields::check_query;
use crate::http::{Code, Declaration, Failure, HoldDialect, Problem, Query, Routes};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header, request::Parts};
use axum::response::Response;
use axum::routing::any;
use holds::Asked;
use lock_info::LockInfo;
use state::Terraform;
use target::{Target, Verb, allowed};

pub static DECLARATION: Declaration = Declaration {
    label: "terraform",
    dialect: Some(HoldDialect { id: Dialect::Terraform, title: "Terraform", write_key: |key, _| key.to_string() }),
    services: &[],
    routes: |app, config| routes().with_state(Terraform::new(app, config)),
    documentation: Some(&Documentation {
        chapter: Chapter::Predecessor,
        tag: "Terraform",
        about: "The locking of the `http` backend of Terraform and OpenTofu. By default they send the methods `LOCK` and \
            `UNLOCK` to `/terraform/{name}`, for which this document has no notation; `PUT` and `DELETE` are the same. \
            The state itself is kept elsewhere.",
        endpoints: || routes().into_endpoints(),
        schemas: add_schema::<Problem<'_>>,
    }),
};

fn routes() -> Routes<Terraform> {
    Routes::new()
        .route("/terraform/", any(anything))
        .route("/terraform/{*name}", any(anything))
        .also::<holds::__path_lock>()
        .also::<holds::__path_unlock>()
        .also::<holds::__path_lock_by_post>()
        .also::<holds::__path_unlock_by_post>()
}

/// Every method of every path: the router knows no LOCK, and a name may have slashes.
async fn anything(State(state): State<Terraform>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    answer(&state, &head, body).await.unwrap_or_else(|failure| {
        let mut response = problem(&failure);
        if failure.code == Code::MethodNotAllowed {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed(&head.uri)));
        }
        response
    })
}

async fn answer(state: &Terraform, head: &Parts, body: Body) -> Result<Response, Failure> {
    let (app, target) = (&state.app, Target::of(&head.method, &head.uri)?);
    let identity = identify_and_touch(app, head, None).await?;
    let name = target.name()?;
    may_take(&identity, &name)?;
    check_query(Query::of(&head.uri), &[], app.settings.unknown_fields)?;
    let body = app.body(head, body).await?;
    holds::check_digest(&head.headers, &body)?;
    let asked = Asked { state, head, identity: &identity, name: name.into() };
    match target.verb {
        Verb::Lock => holds::lock(&asked, &LockInfo::parse(&body)?).await,
        Verb::Unlock if body.trim_ascii().is_empty() => holds::force_unlock(&asked).await,
        Verb::Unlock => holds::unlock(&asked, &LockInfo::parse(&body)?).await,
    }
}
