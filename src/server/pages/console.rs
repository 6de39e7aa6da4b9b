//! The pages of the console: who may see each, and what is answered where one cannot be shown.

use super::answer::{html_page, no_page, with_context};
use super::login::stranger;
use super::state::Pages;
use super::visitor::{Visitor, visitor};
use crate::access::{AddressPool, LoginId, Logins, Role};
use crate::api::events::follow;
use crate::base::clock;
use crate::domain::Name;
use crate::http::Failure;
use crate::http::address_limits::take_place;
use crate::http::auth::{caller, may_read};
use crate::http::problem::problem;
use crate::status::{
    Asked, Context, contention, elections, events, freezes, lock, locks, members, rights, session, sessions,
};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How soon a stream ends after its login.
const LOGIN_LOOKED_UP_EVERY: Duration = Duration::from_secs(5);

/// The pages that are only read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    Locks,
    Lock,
    Sessions,
    Session,
    Events,
    Elections,
    Contention,
    Freezes,
    Cluster,
    Rights,
}

/// One request for a page.
struct Visit<'a> {
    pages: &'a Pages,
    head: &'a Parts,
    visitor: Visitor,
}

/// The answer to a request for this page.
pub async fn show(page: Shown, pages: Pages, request: Request) -> Response {
    let (head, _) = request.into_parts();
    // The JSON of `/status` takes the credential there, so a bookmark with it shows the page too.
    let auth = Asked::of(head.uri.query()).given("auth").filter(|_| page == Shown::Locks);
    let visitor = match visitor(&pages, &head, auth.as_deref()).await {
        Ok(visitor) => visitor,
        Err(failure) => return stranger(&pages, &head, &failure),
    };
    let visit = Visit { pages: &pages, head: &head, visitor };
    match visit.html(page).await {
        Ok(html) => html_page(StatusCode::OK, html),
        Err(failure) => {
            let is_state_missing = failure.code.status() == StatusCode::SERVICE_UNAVAILABLE;
            let cluster = if is_state_missing { Some(pages.app.engine.cluster().await) } else { None };
            no_page(&pages, &head, &failure, Some(&visit.visitor), cluster.as_ref())
        }
    }
}

/// What happens, for the pages that are read anew then: the stream of `GET /v1/events` to those who see the console.
pub async fn stream(State(pages): State<Pages>, head: Parts) -> Response {
    // As on the page that follows it.
    let auth = Asked::of(head.uri.query()).given("auth");
    let visitor = match visitor(&pages, &head, auth.as_deref()).await {
        Ok(visitor) => visitor,
        Err(failure) => return problem(&failure),
    };
    let response = follow(&pages.app, pages.events, &visitor.identity, &head).await.into_response();
    match visitor.login {
        Some(login) => response.map(|body| until_logged_out(body, pages.logins, login)),
        None => response,
    }
}

/// The stream ends with the login.
fn until_logged_out(body: Body, logins: Arc<Logins>, login: LoginId) -> Body {
    let out = async move {
        while logins.find(&login, clock::process_age(), false).is_some() {
            sleep(LOGIN_LOOKED_UP_EVERY).await;
        }
    };
    Body::from_stream(body.into_data_stream().take_until(Box::pin(out)))
}

impl Visit<'_> {
    async fn html(&self, page: Shown) -> Result<String, Failure> {
        // A page may take a pass over all locks.
        let _place = take_place(&self.head.extensions, AddressPool::Listings)?;
        let (engine, viewer) = (&self.pages.app.engine, &self.visitor.identity);
        let asked = Asked::of(self.head.uri.query());
        Ok(match page {
            Shown::Locks => {
                let view = locks::gather(engine, viewer, asked).await.map_err(Failure::of)?;
                self.write(|context| locks::page(&view, context))
            }
            Shown::Lock => {
                let name = Name::from(&*asked.text("name"));
                may_read(viewer, &name)?;
                let view = lock::gather(engine, viewer, &name).await.map_err(Failure::of)?;
                self.write(|context| lock::page(&view, context))
            }
            Shown::Sessions => {
                self.needs_every_name()?;
                let view = sessions::gather(engine, asked).await.map_err(Failure::of)?;
                self.write(|context| sessions::page(&view, context))
            }
            Shown::Session => {
                self.needs_every_name()?;
                let view = session::gather(engine, asked.text("handle")).await.map_err(Failure::of)?;
                self.write(|context| session::page(&view, context))
            }
            Shown::Events => {
                let view = events::gather(engine, viewer, asked);
                self.write(|context| events::page(&view, context))
            }
            Shown::Elections => {
                let view = elections::gather(engine, viewer, asked).await.map_err(Failure::of)?;
                self.write(|context| elections::page(&view, context))
            }
            Shown::Contention => {
                let view = contention::gather(engine, viewer, asked);
                self.write(|context| contention::page(&view, context))
            }
            Shown::Freezes => {
                let view = freezes::gather(engine, viewer, asked).await.map_err(Failure::of)?;
                self.write(|context| freezes::page(&view, context))
            }
            Shown::Cluster => {
                let cluster = engine.cluster().await;
                self.write(|context| members::page(&cluster, context))
            }
            Shown::Rights => {
                let shares = engine.local_shares_of(caller(viewer, self.head));
                let sees = |prefix: &str| !viewer.prefixes_under(prefix).is_empty();
                let quotas = engine.local_quota_uses_of(caller(viewer, self.head), sees);
                let rates = self.pages.app.rates.usage_of(viewer);
                self.write(|context| rights::page(viewer, (&shares, &quotas), &rates, context))
            }
        })
    }

    /// The holds of a session may have any name, so its counts would reveal others.
    fn needs_every_name(&self) -> Result<(), Failure> {
        let viewer = &self.visitor.identity;
        let lack = || viewer.lack_for_all(Role::ReadOnly);
        if viewer.sees_every_name() { Ok(()) } else { Err(Failure::forbidden(sessions::RIGHT, lack())) }
    }

    fn write(&self, page: impl FnOnce(&Context<'_>) -> String) -> String {
        with_context(self.pages, self.head, Some(&self.visitor), &self.visitor.whom(), page)
    }
}
