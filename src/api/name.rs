//! Names and keys, in paths (where a slash is `%2F`) and in queries.
//!
//! A path cannot carry every name: clients and proxies take `.` and `..` for steps and may decode `%2F`. So whatever has
//! a name in its path is also there with `?name=`.

use super::from_fault;
use crate::domain::{HoldKey, Name};
use crate::engine::Fault;
use crate::http::failure::Failure;
use crate::http::key;
use crate::http::path::{Captured, capture};
use crate::http::query::Query;
use crate::http::service::{Attempt, Service};

/// One hold of one lock.
pub type Hold = (Name, HoldKey);

/// The lock that a path names.
pub fn lock_name(service: &Service, captured: &Captured) -> Attempt<Name> {
    checked(service, &capture(captured, "name")?)
}

/// The lock that a query names; `None` where it names none.
pub fn lock_name_asked(service: &Service, query: Query<'_>) -> Attempt<Option<Name>> {
    let name = query.text("name")?;
    name.map(|name| checked(service, &name)).transpose()
}

/// The hold that a path names.
pub fn hold_in_path(service: &Service, captured: &Captured) -> Attempt<Hold> {
    let name = lock_name(service, captured)?;
    let key = read_key(&capture(captured, "key")?, &name);
    Ok((name, key))
}

/// The hold that a query names, which it has to.
pub fn hold_asked(service: &Service, query: Query<'_>) -> Attempt<Hold> {
    let missing = |field| Failure::field(field, format!("{field} must be given in the query"));
    let name = lock_name_asked(service, query)?.ok_or_else(|| missing("name"))?;
    let key = query.text("key")?.ok_or_else(|| missing("key"))?;
    let key = read_key(&key, &name);
    Ok((name, key))
}

fn checked(service: &Service, name: &str) -> Attempt<Name> {
    service.engine.limits().check_name(name).map_err(|refusal| from_fault(Fault::Refused(refusal)))?;
    Ok(name.into())
}

/// A key in any writing that a dialect or this listing gave out. What is no key opens nothing.
fn read_key(text: &str, name: &str) -> HoldKey {
    let of_this_lock = |(key, of): (HoldKey, String)| (of == name).then_some(key);
    let read = key::from_dashed(text).or_else(|| key::from_hex(text));
    read.or_else(|| key::from_lock_id(text).and_then(of_this_lock)).unwrap_or(key::NOBODY)
}
