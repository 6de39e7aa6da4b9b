//! Sessions v1, the native dialect: LDLM's REST interface with its cookie, byte for byte, minus its defects.
//!
//! Beyond LDLM: `wait_timeout_seconds` and `metadata` on `/v1/lock`, fractions of a second, `fencing_token` and
//! `expires_in_seconds` in answers, `/v1/renew` and `/v1/refreshlock` side by side.

mod answer;
mod caller;
mod holds;
mod openapi;
mod request;
mod session;

use crate::config::Config;
use crate::domain::Dialect;
use crate::domain::time::round_up_ms;
use crate::http::catalog::HoldDialect;
use crate::http::key;
use crate::http::routes::Routes;
use crate::http::{AppState, Declaration};
use axum::routing::any;
use session::Sessions;

pub static DECLARATION: Declaration = Declaration {
    label: "sessions_v1",
    dialect: Some(HoldDialect { id: Dialect::LdlmRest, title: "sessions v1", write_key: |key, _| key::dashed(key) }),
    services: &[],
    routes,
    documentation: Some(&openapi::DOCUMENTATION),
};

fn routes(app: &AppState, config: &Config) -> Routes {
    let idle_ms_max = round_up_ms(config.sessions.idle_timeout_max);
    let sessions = Routes::new()
        .route("/session", any(session::session))
        .with_state(Sessions { app: AppState::clone(app), idle_ms_max });
    Routes::new()
        .route("/v1/lock", any(holds::lock))
        .uncounted("/v1/lock/", any(session::not_found))
        .route("/v1/unlock", any(holds::unlock))
        .uncounted("/v1/unlock/", any(session::not_found))
        .route("/v1/renew", any(holds::renew))
        .uncounted("/v1/renew/", any(session::not_found))
        .route("/v1/refreshlock", any(holds::renew))
        .uncounted("/v1/refreshlock/", any(session::not_found))
        .uncounted("/session/", any(session::not_found))
        .with_state(AppState::clone(app))
        .merge(sessions)
}
