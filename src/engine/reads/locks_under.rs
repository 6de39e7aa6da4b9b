//! One page of locks out of several prefixes, for callers that may see only some names.

use super::listing::{LockPage, PageLimit};
use super::reader::{Consistency, TableReader};
use crate::domain::view::{LockFilter, LockView};
use crate::domain::{Name, Timestamp};
use crate::engine::error::Fault;

impl TableReader {
    /// One page of the locks whose names start with any of `prefixes`, ordered by name. No prefix may contain another, and
    /// they must be sorted. `filter.prefix` is not used.
    pub async fn locks_under(
        &self,
        prefixes: &[String],
        filter: &LockFilter,
        after: Option<Name>,
        limit: PageLimit,
        consistency: Consistency,
    ) -> Result<LockPage, Fault> {
        let mut room = limit;
        let mut page = LockPage { locks: Vec::new(), next: None, now: Timestamp::default() };
        let mut open = prefixes_after(prefixes, after.as_deref()).peekable();
        while let Some(prefix) = open.next() {
            let filter = LockFilter { prefix: prefix.clone(), ..filter.clone() };
            let part = self.locks(filter, after.clone(), room, consistency).await?;
            page.now = page.now.max(part.now);
            room.rows = room.rows.saturating_sub(part.locks.len());
            room.bytes = room.bytes.saturating_sub(part.locks.iter().map(LockView::shown_bytes).sum());
            page.locks.extend(part.locks);
            page.next = part.next;
            if page.next.is_none() && (room.rows == 0 || room.bytes == 0) && open.peek().is_some() {
                // Another prefix may have more: the page after this one finds out.
                page.next = page.locks.last().map(|lock| lock.name.clone());
            }
            if page.next.is_some() {
                break;
            }
        }
        Ok(page)
    }
}

/// The prefixes that a name after `after` can have.
fn prefixes_after<'a>(prefixes: &'a [String], after: Option<&str>) -> impl Iterator<Item = &'a String> {
    let after = after.unwrap_or_default().to_owned();
    prefixes.iter().filter(move |prefix| prefix.as_str() > after.as_str() || after.starts_with(prefix.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_before_the_cursor_are_not_listed_again() {
        let prefixes = ["build/", "deploy/", "ops/"].map(String::from);
        let open = |after: Option<&str>| prefixes_after(&prefixes, after).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(open(None), ["build/", "deploy/", "ops/"]);
        assert_eq!(open(Some("build/7")), ["build/", "deploy/", "ops/"]);
        assert_eq!(open(Some("deploy/a")), ["deploy/", "ops/"]);
        assert_eq!(open(Some("zebra")), Vec::<&str>::new());
        let everything = [String::new()];
        assert_eq!(prefixes_after(&everything, Some("anything")).count(), 1);
    }
}
