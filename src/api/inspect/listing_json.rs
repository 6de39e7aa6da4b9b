//! The listings and a lock in detail as pieces of JSON: the same as their types in `schema.rs`, without ever being whole.

use super::schema::{Hold, Session};
use crate::access::Identity;
use crate::domain::Timestamp;
use crate::domain::view::{LockView, SessionView};
use crate::http::catalog::Catalog;
use crate::http::json_stream::listed;
use crate::http::respond::{push_string, to_json};
use std::iter::once;
use std::sync::Arc;

/// A page of locks.
pub fn locks(
    locks: Vec<LockView>,
    next_cursor: Option<String>,
    now: Timestamp,
    viewer: Identity,
    catalog: Arc<Catalog>,
) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
    let rows = locks.into_iter().enumerate().flat_map(move |(at, view)| {
        let comma = if at > 0 { b",".to_vec() } else { Vec::new() };
        once(comma).chain(lock(view, now, &viewer, Arc::clone(&catalog)))
    });
    once(b"{\"locks\":[".to_vec()).chain(rows).chain(end(next_cursor))
}

/// One lock, which may have many holders.
pub fn lock(
    view: LockView,
    now: Timestamp,
    viewer: &Identity,
    catalog: Arc<Catalog>,
) -> impl Iterator<Item = Vec<u8>> + Send + use<> {
    let catalog = viewer.may_administer(&view.name).then_some(catalog);
    let mut head = b"{\"name\":".to_vec();
    push_string(&mut head, &view.name);
    head.extend(format!(",\"size\":{},\"queue_length\":{},\"holders\":[", view.size, view.waiters).bytes());
    let name = view.name;
    let holders = listed(view.holds, move |hold| {
        let key = catalog.as_ref().map(|catalog| catalog.written_key(hold.dialect, hold.key, &name));
        to_json(&Hold::new(&hold, now, key))
    });
    once(head).chain(holders).chain(once(b"]}".to_vec()))
}

/// A page of sessions.
pub fn sessions(
    sessions: Vec<SessionView>,
    next_cursor: Option<String>,
    now: Timestamp,
) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
    let rows = listed(sessions, move |session| to_json(&Session::new(&session, now)));
    once(b"{\"sessions\":[".to_vec()).chain(rows).chain(end(next_cursor))
}

fn end(next_cursor: Option<String>) -> impl Iterator<Item = Vec<u8>> + Send + 'static {
    let mut end = b"],\"next_cursor\":".to_vec();
    end.append(&mut to_json(&next_cursor));
    end.push(b'}');
    once(end)
}

#[cfg(test)]
mod tests {
    use super::super::schema::tests::lock_of;
    use super::super::schema::{Lock, LockList, SessionList};
    use super::*;
    use crate::access::Role;
    use crate::domain::{Dialect, SessionId};

    const NOW: Timestamp = Timestamp(3_000);

    fn text(pieces: impl Iterator<Item = Vec<u8>>) -> String {
        String::from_utf8(pieces.flatten().collect()).expect("text")
    }

    fn json(shape: &impl serde::Serialize) -> String {
        String::from_utf8(to_json(shape)).expect("text")
    }

    #[test]
    fn streamed_json_equals_the_serialised_types() {
        let catalog = Arc::new(Catalog::default());
        let views = [lock_of(Dialect::LdlmRest), lock_of(Dialect::RaftLockRest)];
        for role in [Role::Client, Role::Admin] {
            let viewer = Identity::anonymous(role);
            for (count, next) in [(0, None), (1, None), (2, Some("a \"cursor\"".to_owned()))] {
                let views = views[..count].to_vec();
                let whole = json(&LockList::new(&views, next.clone(), NOW, &viewer, &catalog));
                assert_eq!(text(locks(views, next, NOW, viewer.clone(), Arc::clone(&catalog))), whole);
            }
            let one = json(&Lock::new(&views[0], NOW, &viewer, &catalog));
            assert_eq!(text(lock(views[0].clone(), NOW, &viewer, Arc::clone(&catalog))), one);
        }
        let session = SessionView {
            session: SessionId([7; 16]),
            idle_timeout_ms: 60_000,
            deadline: Some(Timestamp(9_000)),
            holds: 1,
            waiters: 2,
        };
        let views = vec![session.clone(), session];
        let whole = json(&SessionList::new(&views, Some("next".to_owned()), NOW));
        assert_eq!(text(sessions(views, Some("next".to_owned()), NOW)), whole);
    }
}
