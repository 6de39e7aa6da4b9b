//! Names and keys in paths; a name may hold a slash (`%2F`).

use super::super::key;
use super::super::path::{Captured, capture};
use super::super::service::{Attempt, Service};
use super::from_fault;
use crate::domain::{HoldKey, Name};
use crate::engine::Fault;

/// The lock that a path names.
pub fn lock_name(service: &Service, captured: &Captured) -> Attempt<Name> {
    let name = capture(captured, "name")?;
    service.engine.limits().check_name(&name).map_err(|refusal| from_fault(Fault::Refused(refusal)))?;
    Ok(name.into())
}

/// The hold that a path names, in any writing that a dialect or this listing gave out. What is no key opens nothing.
pub fn hold_key(captured: &Captured, name: &str) -> Attempt<HoldKey> {
    let text = capture(captured, "key")?;
    let of_this_lock = |(key, of): (HoldKey, String)| (of == name).then_some(key);
    let read = key::from_dashed(&text).or_else(|| key::from_hex(&text));
    Ok(read.or_else(|| key::from_lock_id(&text).and_then(of_this_lock)).unwrap_or(key::NOBODY))
}
