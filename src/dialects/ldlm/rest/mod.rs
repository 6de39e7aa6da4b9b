//! Sessions v1, the native dialect: LDLM's REST interface with its cookie, byte for byte, minus its defects.
//!
//! Beyond LDLM: `wait_timeout_seconds` and `metadata` on `/v1/lock`, fractions of a second, `fencing_token` and
//! `expires_in_seconds` in answers, `/v1/renew` and `/v1/refreshlock` side by side.

mod answer;
mod caller;
mod holds;
mod request;
mod schema;
mod session;

use crate::domain::Dialect;
use crate::domain::time::round_up_ms;
use crate::http::catalog::HoldDialect;
use crate::http::endpoint::{Chapter, Documentation, add_schema};
use crate::http::key;
use crate::http::routes::Routes;
use crate::http::{AppState, Declaration};
use axum::routing::any;
use schema::GatewayError;
use session::Sessions;

pub static DECLARATION: Declaration = Declaration {
    label: "sessions_v1",
    dialect: Some(HoldDialect { id: Dialect::LdlmRest, title: "sessions v1", write_key: |key, _| key::dashed(key) }),
    services: &[],
    routes: |app, config| {
        let idle_ms_max = round_up_ms(config.sessions.idle_timeout_max);
        routes().with_state(Sessions { app: AppState::clone(app), idle_ms_max })
    },
    documentation: Some(&DOCUMENTATION),
};

const DOCUMENTATION: Documentation = Documentation {
    chapter: Chapter::Native,
    tag: "Sessions v1",
    about: "The native dialect, and that of LDLM's REST clients. Open a session, keep its cookie, take locks with it, and \
        everything is given back when the session ends: when it is deleted, or when nothing was heard from it for \
        `sessions.idle_timeout`. What LDLM answers as 200 with an `error` object stays so.",
    endpoints: || routes().into_endpoints(),
    schemas: add_schema::<GatewayError>,
};

fn routes() -> Routes<Sessions> {
    Routes::new()
        .described::<session::__path_open>(any(session::session))
        .also::<session::__path_close>()
        .described::<holds::__path_lock>(any(holds::lock))
        .described::<holds::__path_unlock>(any(holds::unlock))
        .described::<holds::__path_renew>(any(holds::renew))
        .described::<holds::__path_refresh_lock>(any(holds::refresh_lock))
        .uncounted("/v1/lock/", any(session::not_found))
        .uncounted("/v1/unlock/", any(session::not_found))
        .uncounted("/v1/renew/", any(session::not_found))
        .uncounted("/v1/refreshlock/", any(session::not_found))
        .uncounted("/session/", any(session::not_found))
}
