//! Listings for callers that may see only some names: one page out of several prefixes.

use super::error::Fault;
use super::face::{Engine, LockPage};
use crate::domain::view::LockFilter;
use crate::domain::{Name, Timestamp};

/// One page of the locks whose names start with any of `prefixes`; each must be free of the others and they must
/// be in order, so that the page is in the order of the names. `filter.prefix` is not used.
pub async fn locks_under(
    engine: &Engine,
    prefixes: &[String],
    filter: &LockFilter,
    after: Option<Name>,
    limit: usize,
) -> Result<LockPage, Fault> {
    let mut page = LockPage { locks: Vec::new(), next: None, now: Timestamp::default() };
    let mut open = still_open(prefixes, after.as_deref()).peekable();
    while let Some(prefix) = open.next() {
        let filter = LockFilter { prefix: prefix.clone(), ..filter.clone() };
        let room = limit - page.locks.len();
        let part = engine.locks(filter, after.clone(), room).await?;
        page.now = page.now.max(part.now);
        page.locks.extend(part.locks);
        page.next = part.next;
        if page.next.is_none() && page.locks.len() >= limit && open.peek().is_some() {
            // Another prefix may have more: the page after this one finds out.
            page.next = page.locks.last().map(|lock| lock.name.clone());
        }
        if page.next.is_some() {
            break;
        }
    }
    Ok(page)
}

/// The prefixes under which a name later than `after` can stand.
fn still_open<'a>(prefixes: &'a [String], after: Option<&str>) -> impl Iterator<Item = &'a String> {
    let after = after.unwrap_or_default().to_owned();
    prefixes.iter().filter(move |prefix| prefix.as_str() > after.as_str() || after.starts_with(prefix.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_that_are_behind_the_cursor_are_not_asked_again() {
        let prefixes = ["build/", "deploy/", "ops/"].map(String::from);
        let open = |after: Option<&str>| still_open(&prefixes, after).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(open(None), ["build/", "deploy/", "ops/"]);
        assert_eq!(open(Some("build/7")), ["build/", "deploy/", "ops/"]);
        assert_eq!(open(Some("deploy/a")), ["deploy/", "ops/"]);
        assert_eq!(open(Some("zebra")), Vec::<&str>::new());
        let everything = [String::new()];
        assert_eq!(still_open(&everything, Some("anything")).count(), 1);
    }
}
