//! `/v1/freezes`: an operator freezes names, lists freezes and thaws them.

mod change;
mod list;
mod request;
mod schema;

use super::known_parameters::check_parameters;
use crate::http::declaration::get;
use crate::http::endpoint::{Chapter, Documentation};
use crate::http::{AppState, Declaration, Routes};

pub static DECLARATION: Declaration = Declaration {
    label: "freezes",
    dialect: None,
    services: &[],
    routes: |app, _| check_parameters(routes(), app).with_state(AppState::clone(app)),
    documentation: Some(&Documentation {
        chapter: Chapter::Own,
        tag: "Freezes",
        about: "Under a frozen name nothing new is granted until the freeze ends. Who waits goes on waiting; who does not is \
            refused with the reason and the end. A freeze is of one name, of all names with a prefix, or of everything. Only \
            admins freeze and thaw; a credential that is limited to name prefixes sees the freezes that concern its names.",
        endpoints: || routes().into_endpoints(),
        schemas: |_| (),
    }),
};

fn routes() -> Routes<AppState> {
    let by_path = get(list::show_freeze).put(change::freeze).delete(change::thaw);
    let by_target = get(list::list_freezes).put(change::freeze_by_target).delete(change::thaw_by_target);
    Routes::new()
        .described::<change::__path_freeze>(by_path)
        .also::<change::__path_thaw>()
        .also::<list::__path_show_freeze>()
        .described::<list::__path_list_freezes>(by_target)
        .also::<change::__path_freeze_by_target>()
        .also::<change::__path_thaw_by_target>()
}
