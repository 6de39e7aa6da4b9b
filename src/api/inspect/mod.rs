//! Reading and repairing: who holds what, who held it before, which sessions there are, the forced release of a hold, and another size.

mod contention;
mod force;
mod history;
mod list;
mod listing_json;
pub mod query;
pub mod schema;
mod size;

use super::events::{self, Events};
use super::known_parameters::check_parameters;
use crate::http::compression::compressed;
use crate::http::declaration::{delete, get, put};
use crate::http::endpoint::{Chapter, Documentation};
use crate::http::{AppState, Declaration, Routes};

pub static DECLARATION: Declaration = Declaration {
    label: "inspect",
    dialect: None,
    services: &[],
    routes: |app, config| {
        check_parameters(routes(), app).with_state(Events { app: AppState::clone(app), options: config.events })
    },
    documentation: Some(&Documentation {
        chapter: Chapter::Own,
        tag: "Reading and repairing",
        about: "Who holds what, who held it before, which sessions there are, the forced release of a hold, and another size of a lock. A credential that is limited \
            to name prefixes sees only those names. Keys are shown to admins only, session ids to nobody: a session is \
            named by a handle that is made from its id.",
        endpoints: || routes().into_endpoints(),
        schemas: |_| (),
    }),
};

fn routes() -> Routes<Events> {
    Routes::new()
        .described::<list::__path_list_locks>(compressed(get(list::list_locks)))
        .described::<list::__path_show_lock>(compressed(get(list::show_lock)))
        .described::<history::__path_show_history>(get(history::show_history))
        .described::<history::__path_show_history_by_name>(get(history::show_history_by_name))
        .described::<force::__path_force_release>(delete(force::force_release))
        .described::<force::__path_force_release_by_name>(delete(force::force_release_by_name))
        .described::<size::__path_resize>(put(size::resize))
        .described::<size::__path_resize_by_name>(put(size::resize_by_name))
        .described::<list::__path_list_sessions>(compressed(get(list::list_sessions)))
        .described::<contention::__path_show_contention>(get(contention::show_contention))
        .uncounted(events::PATH, get(events::read_events))
        .also::<events::__path_read_events>()
}
