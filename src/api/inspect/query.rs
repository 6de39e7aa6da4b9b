//! What requests name: locks and keys, in paths (where a slash is `%2F`) and in queries; filters, page length, and cursors,
//! which tell where the page before ended and are opaque to clients.
//!
//! A path cannot carry every name: clients and proxies resolve `.` and `..` and may decode `%2F`. So each endpoint with a
//! name in its path has a form with `?name=`.

use crate::access::{Identity, Seal};
use crate::domain::{HoldKey, Name, SessionId};
use crate::engine::{Consistency, Fault};
use crate::http::auth::may_read;
use crate::http::query::{Captured, capture};
use crate::http::{App, Failure, FieldNames, Query, key};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use std::borrow::Cow;
use std::sync::LazyLock;
use utoipa::{IntoParams, ToSchema};

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "`lock_name` reads the path itself")]
pub struct NameInPath {
    /// The lock's name, percent-encoded: a slash is `%2F`.
    #[param(format = "lock-name", min_length = 1, example = "deploy/production")]
    name: String,
}

pub fn lock_name(app: &App, captured: &Captured) -> Result<Name, Failure> {
    checked_name(app, &capture(captured, "name")?)
}

/// The lock that a query names; `None` where it names none.
pub fn lock_name_in_query(app: &App, query: Query<'_>) -> Result<Option<Name>, Failure> {
    let name = query.text("name")?;
    name.map(|name| checked_name(app, &name)).transpose()
}

pub fn hold_in_path(app: &App, captured: &Captured) -> Result<(Name, HoldKey), Failure> {
    let name = lock_name(app, captured)?;
    let key = read_key(&capture(captured, "key")?, &name);
    Ok((name, key))
}

/// The hold that a query names, which it has to.
pub fn hold_in_query(app: &App, query: Query<'_>) -> Result<(Name, HoldKey), Failure> {
    let missing = |field| Failure::field(field, format!("{field} must be given in the query"));
    let name = lock_name_in_query(app, query)?.ok_or_else(|| missing("name"))?;
    let key = query.text("key")?.ok_or_else(|| missing("key"))?;
    let key = read_key(&key, &name);
    Ok((name, key))
}

/// A name within its limits.
pub fn checked_name(app: &App, name: &str) -> Result<Name, Failure> {
    checked_name_in(app, "name", name)
}

/// The same of another field.
pub fn checked_name_in(app: &App, field: &'static str, name: &str) -> Result<Name, Failure> {
    let names = FieldNames { name: field, size: "size", lease: "lease", wait: "wait" };
    let checked = app.engine.limits().check_name(name);
    checked.map_err(|refusal| Failure::from_fault(&Fault::Refused(refusal), &names))?;
    Ok(name.into())
}

/// The same, of a lock that the caller may see.
pub fn readable_name(app: &App, viewer: &Identity, field: &'static str, name: &str) -> Result<Name, Failure> {
    let name = checked_name_in(app, field, name)?;
    may_read(viewer, &name)?;
    Ok(name)
}

/// A key in any format that a dialect or this listing gave out. Any other text opens nothing.
fn read_key(text: &str, name: &str) -> HoldKey {
    let of_this_lock = |(key, of): (HoldKey, String)| (of == name).then_some(key);
    let read = key::from_dashed(text).or_else(|| key::from_hex(text));
    read.or_else(|| key::from_lock_id(text).and_then(of_this_lock)).unwrap_or(key::NO_KEY)
}

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// The parameters of every listing, as the functions below read them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the functions below read the query")]
pub struct PageQuery {
    /// Entries of a page at most. It ends sooner where it has about a megabyte: `next_cursor` shows whether there are more.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

const _: () = assert!(LIMIT_DEFAULT == 100 && LIMIT_MAX == 1000, "the limits in the document");

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`consistency` reads it")]
pub struct ConsistencyQuery {
    /// `linearizable` (the default) sees everything that was answered before, on any node, and needs a quorum; `stale` is
    /// what this node knows.
    #[param(inline)]
    consistency: Option<ConsistencyName>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase", default = "linearizable")]
#[expect(dead_code, reason = "`consistency` reads the names")]
enum ConsistencyName {
    Linearizable,
    Stale,
}

/// `limit`: how many entries a page has.
pub fn limit(query: Query<'_>) -> Result<usize, Failure> {
    page_of(query, LIMIT_DEFAULT)
}

/// The same with another default.
pub fn page_of(query: Query<'_>, default: usize) -> Result<usize, Failure> {
    let Some(text) = query.text("limit")? else { return Ok(default) };
    let number = text.parse::<usize>().ok().filter(|number| (1..=LIMIT_MAX).contains(number));
    number.ok_or_else(|| {
        let detail = format!("limit must be a whole number from 1 to {LIMIT_MAX}");
        Failure::field("limit", detail).with_limit(LIMIT_MAX as u64)
    })
}

/// A filter that is `true`, `false` or absent.
pub fn flag(query: Query<'_>, field: &'static str) -> Result<Option<bool>, Failure> {
    match query.text(field)?.as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Failure::field(field, format!("{field} must be true or false"))),
    }
}

/// `prefix`: the names that start with it; all of them when absent.
pub fn prefix(query: Query<'_>, name_bytes_max: u64) -> Result<Cow<'_, str>, Failure> {
    let prefix = query.text("prefix")?.unwrap_or_default();
    if prefix.len() as u64 <= name_bytes_max {
        Ok(prefix)
    } else {
        let detail = format!("prefix must be at most {name_bytes_max} bytes long");
        Err(Failure::limit("prefix", name_bytes_max, detail).set_by("locks.name_bytes_max"))
    }
}

/// `consistency`: `stale` is answered from this node's own state, also without a leader.
pub fn consistency(query: Query<'_>) -> Result<Consistency, Failure> {
    match query.text("consistency")?.as_deref() {
        None | Some("linearizable") => Ok(Consistency::Linearizable),
        Some("stale") => Ok(Consistency::Stale),
        Some(_) => Err(Failure::field("consistency", "consistency must be linearizable or stale")),
    }
}

/// `cursor`, as `read` understands it.
pub fn cursor<T>(query: Query<'_>, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Failure> {
    let refused = || Failure::field("cursor", "cursor must be a next_cursor of this listing");
    query.text("cursor")?.map(|text| read(&text).ok_or_else(refused)).transpose()
}

/// The version of the format of cursors.
const NAME_FORM: u8 = 1;

/// Session ids are secrets, so a cursor carries one only under this process' own seal.
static SEAL: LazyLock<Seal> = LazyLock::new(Seal::new);

pub fn after_name(name: &str) -> String {
    let mut bytes = vec![NAME_FORM];
    bytes.extend_from_slice(name.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub fn read_name(cursor: &str) -> Option<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let name = bytes.strip_prefix(&[NAME_FORM])?;
    String::from_utf8(name.to_vec()).ok()
}

pub fn after_session(session: SessionId) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(SEAL.close(&session.0))
}

pub fn read_session(cursor: &str) -> Option<SessionId> {
    SEAL.open(&BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).map(SessionId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Uri;

    fn with<T>(query: &str, read: impl FnOnce(Query<'_>) -> T) -> T {
        let uri: Uri = format!("/v1/locks?{query}").parse().expect("a URI");
        read(Query::of(&uri))
    }

    #[test]
    fn reads_are_linearizable_by_default() {
        let read = |query| with(query, consistency);
        assert_eq!(read(""), Ok(Consistency::Linearizable));
        assert_eq!(read("consistency=stale"), Ok(Consistency::Stale));
        assert_eq!(read("consistency=Stale").expect_err("refused").field, Some("consistency"));
    }

    #[test]
    fn only_our_cursors_parse() {
        assert_eq!(read_name(&after_name("日/本 \n")).as_deref(), Some("日/本 \n"));
        assert_eq!(read_name(""), None);
        assert_eq!(read_name("%%%"), None);
        assert_eq!(read_name(&BASE64_URL_SAFE_NO_PAD.encode([NAME_FORM, 0xff])), None);
        let session = SessionId([9; 16]);
        assert_eq!(read_session(&after_session(session)), Some(session));
        assert_eq!(read_session(&after_name("a")), None);
    }
}
