//! Elections: a candidate waits for its turn to lead, says something about itself, and everybody may ask who leads.
//!
//! The hold of a leader belongs to a session and has a lease, and is renewed by `POST /v1/renew` as any other. What may not
//! live here: the rule for how long an answer can be relied on, which is the table's (`src/domain/table/leader.rs`).

mod asked;
mod campaign;
mod in_session;
mod lead;
mod lookup;
mod request;
mod schema;

use super::known_parameters::check_parameters;
use crate::http::declaration::get;
use crate::http::endpoint::{Chapter, Documentation};
use crate::http::{AppState, Declaration, Routes};

pub static DECLARATION: Declaration = Declaration {
    label: "elections",
    dialect: None,
    services: &[],
    routes: |app, _| check_parameters(routes(), app).with_state(AppState::clone(app)),
    documentation: Some(&Documentation {
        chapter: Chapter::Own,
        tag: "Elections",
        about: "One of several candidates leads, and says in a value who it is. Campaigning needs a session, as sessions v1 \
            have it; the leader renews its lease with `POST /v1/renew`. Anybody with the right to read asks who leads, and \
            for how long that can be relied on. `GET /v1/events?election=` tells of each change.",
        endpoints: || routes().into_endpoints(),
        schemas: |_| (),
    }),
};

fn routes() -> Routes<AppState> {
    let by_path = get(lookup::show_leader).post(campaign::campaign).put(lead::set_value).delete(lead::resign);
    let by_name = get(lookup::show_leader_by_name)
        .post(campaign::campaign_by_name)
        .put(lead::set_value_by_name)
        .delete(lead::resign_by_name);
    Routes::new()
        .described::<lookup::__path_show_leader>(by_path)
        .also::<campaign::__path_campaign>()
        .also::<lead::__path_set_value>()
        .also::<lead::__path_resign>()
        .described::<lookup::__path_show_leader_by_name>(by_name)
        .also::<campaign::__path_campaign_by_name>()
        .also::<lead::__path_set_value_by_name>()
        .also::<lead::__path_resign_by_name>()
}
