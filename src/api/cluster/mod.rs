//! Operating the service: who belongs to the cluster, changes of that, and the backup.
//!
//! Ours alone, so every error is a problem document. What changes members or shows the whole state needs an admin who
//! is limited to no names, and is written to the log with that admin's name.

mod backup;
mod members;
mod openapi;
mod operator;
mod schema;

use super::known_parameters::check_parameters;
use crate::config::Config;
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

fn routes(app: &AppState, _: &Config) -> Routes {
    let routes = Routes::new()
        .route("/v1/cluster", get(members::show_cluster))
        .route("/v1/cluster/members", post(members::add_member))
        .route("/v1/cluster/members/{node}", delete(members::remove_member))
        .route("/v1/cluster/members/{node}/promote", post(members::promote_member))
        .route("/v1/backup", get(backup::backup))
        .with_state(AppState::clone(app));
    check_parameters(routes, app, (openapi::DOCUMENTATION.endpoints)())
}
