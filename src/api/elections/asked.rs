//! Which election a request is about, and the names of its fields.

use crate::api::inspect::query::{lock_name, lock_name_in_query};
use crate::domain::Name;
use crate::http::query::Captured;
use crate::http::{App, Failure, FieldNames, Query};

pub const NAMES: FieldNames =
    FieldNames { name: "name", size: "size", lease: "lease_seconds", wait: "wait_timeout_seconds" };

pub fn election_in_path(app: &App, captured: &Captured) -> Result<Name, Failure> {
    lock_name(app, captured)
}

pub fn election_in_query(app: &App, query: Query<'_>) -> Result<Name, Failure> {
    let name = lock_name_in_query(app, query)?.filter(|name| !name.is_empty());
    name.ok_or_else(|| Failure::field("name", "name must be given in the query, and not be empty"))
}
