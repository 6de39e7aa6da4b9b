//! Operating the cluster: its members, changes of them, and the backup.
//!
//! A change of members or a backup needs an admin who is not limited to name prefixes, and is logged with that name.

mod backup;
mod members;

use super::known_parameters::check_parameters;
use crate::http::declaration::{delete, get, post};
use crate::http::endpoint::{Chapter, Documentation};
use crate::http::{AppState, Declaration, Routes};

pub static DECLARATION: Declaration = Declaration {
    label: "operate",
    dialect: None,
    services: &[],
    routes: |app, _| check_parameters(routes(), app).with_state(AppState::clone(app)),
    documentation: Some(&Documentation {
        chapter: Chapter::Own,
        tag: "Operating the cluster",
        about: "Who belongs to the cluster, changes of that, and the backup. Any credential may read; the rest needs the \
            admin role without a limit to name prefixes. `latchd members`, `latchd backup` and `latchd restore` are the \
            same on the command line.",
        endpoints: || routes().into_endpoints(),
        schemas: |_| (),
    }),
};

fn routes() -> Routes<AppState> {
    Routes::new()
        .described::<members::__path_show_cluster>(get(members::show_cluster))
        .described::<members::__path_add_member>(post(members::add_member))
        .described::<members::__path_promote_member>(post(members::promote_member))
        .described::<members::__path_remove_member>(delete(members::remove_member))
        .described::<backup::__path_backup>(get(backup::backup))
}
