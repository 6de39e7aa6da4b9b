//! Names and keys, in paths (where a slash is `%2F`) and in queries.
//!
//! A path cannot carry every name: clients and proxies resolve `.` and `..` and may decode `%2F`. So each endpoint with a
//! name in its path has a form with `?name=`.

use crate::api::failure::from_fault;
use crate::domain::{HoldKey, Name};
use crate::engine::Fault;
use crate::http::app::App;
use crate::http::failure::Failure;
use crate::http::key;
use crate::http::query::Query;
use crate::http::query::{Captured, capture};
use utoipa::IntoParams;

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "`lock_name` reads the path itself")]
pub struct NameInPath {
    /// The lock's name, percent-encoded: a slash is `%2F`.
    #[param(format = "lock-name", min_length = 1, example = "deploy/production")]
    name: String,
}

/// One hold of one lock.
pub type HoldName = (Name, HoldKey);

/// The lock that a path names.
pub fn lock_name(app: &App, captured: &Captured) -> Result<Name, Failure> {
    checked(app, &capture(captured, "name")?)
}

/// The lock that a query names; `None` where it names none.
pub fn lock_name_in_query(app: &App, query: Query<'_>) -> Result<Option<Name>, Failure> {
    let name = query.text("name")?;
    name.map(|name| checked(app, &name)).transpose()
}

/// The hold that a path names.
pub fn hold_in_path(app: &App, captured: &Captured) -> Result<HoldName, Failure> {
    let name = lock_name(app, captured)?;
    let key = read_key(&capture(captured, "key")?, &name);
    Ok((name, key))
}

/// The hold that a query names, which it has to.
pub fn hold_in_query(app: &App, query: Query<'_>) -> Result<HoldName, Failure> {
    let missing = |field| Failure::field(field, format!("{field} must be given in the query"));
    let name = lock_name_in_query(app, query)?.ok_or_else(|| missing("name"))?;
    let key = query.text("key")?.ok_or_else(|| missing("key"))?;
    let key = read_key(&key, &name);
    Ok((name, key))
}

fn checked(app: &App, name: &str) -> Result<Name, Failure> {
    app.engine.limits().check_name(name).map_err(|refusal| from_fault(Fault::Refused(refusal)))?;
    Ok(name.into())
}

/// A key in any format that a dialect or this listing gave out. Any other text opens nothing.
fn read_key(text: &str, name: &str) -> HoldKey {
    let of_this_lock = |(key, of): (HoldKey, String)| (of == name).then_some(key);
    let read = key::from_dashed(text).or_else(|| key::from_hex(text));
    read.or_else(|| key::from_lock_id(text).and_then(of_this_lock)).unwrap_or(key::NO_KEY)
}
