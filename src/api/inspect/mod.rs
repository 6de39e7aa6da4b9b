//! Reading and repairing: who holds what, which sessions there are, and the forced release of a hold.

mod cursor;
mod force;
mod list;
mod listing_json;
mod name;
mod openapi;
pub mod query;
pub mod schema;

use super::events;
use super::known_parameters::check_parameters;
use crate::config::Config;
use crate::http::compression::compressed;
use crate::http::endpoint::Bounds;
use crate::http::methods::{delete, get};
use crate::http::routes::Routes;
use crate::http::{AppState, Declaration};

pub static DECLARATION: Declaration = Declaration {
    label: "inspect",
    dialect: None,
    services: &[],
    routes,
    documentation: Some(&openapi::DOCUMENTATION),
};

fn routes(app: &AppState, config: &Config) -> Routes {
    let routes = Routes::new()
        .route("/v1/locks", compressed(get(list::list_locks)))
        .route("/v1/locks/{name}", compressed(get(list::show_lock)))
        .route("/v1/locks/{name}/holds/{key}", delete(force::force_release))
        .route("/v1/holds", delete(force::force_release_by_name))
        .route("/v1/sessions", compressed(get(list::list_sessions)))
        .with_state(AppState::clone(app))
        .merge(events::routes(app, config));
    check_parameters(routes, app, (openapi::DOCUMENTATION.endpoints)(Bounds::of(config)))
}
