//! Operating the cluster: its members, changes of them, and the backup.
//!
//! A change of members or a backup needs an admin who is not limited to name prefixes, and is logged with that name.

mod backup;
mod members;
mod openapi;
mod operator;
mod schema;

use super::known_parameters::check_parameters;
use crate::config::Config;
use crate::http::endpoint::Bounds;
use crate::http::methods::{delete, get, post};
use crate::http::routes::Routes;
use crate::http::{AppState, Declaration};

pub static DECLARATION: Declaration = Declaration {
    label: "operate",
    dialect: None,
    services: &[],
    routes,
    documentation: Some(&openapi::DOCUMENTATION),
};

fn routes(app: &AppState, config: &Config) -> Routes {
    let routes = Routes::new()
        .route("/v1/cluster", get(members::show_cluster))
        .route("/v1/cluster/members", post(members::add_member))
        .route("/v1/cluster/members/{node}", delete(members::remove_member))
        .route("/v1/cluster/members/{node}/promote", post(members::promote_member))
        .route("/v1/backup", get(backup::backup))
        .with_state(AppState::clone(app));
    check_parameters(routes, app, (openapi::DOCUMENTATION.endpoints)(Bounds::of(config)))
}
