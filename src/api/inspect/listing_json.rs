//! The listings and a lock in detail as pieces of JSON: the same as their types in `schema.rs`, without ever being whole.

use super::schema::{Hold, Session, Waiter};
use crate::access::Identity;
use crate::domain::Timestamp;
use crate::domain::view::{LockView, SessionView};
use crate::http::Catalog;
use crate::http::frozen::Frozen;
use crate::http::json_stream::listed;
use crate::http::respond::{push_string, seconds, to_json};
use std::iter::once;
use std::sync::Arc;

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
    head.extend(format!(",\"size\":{},\"mode\":\"{}\"", view.size, view.mode().as_str()).bytes());
    if let Some(until) = view.delayed_until {
        head.extend_from_slice(b",\"delayed_for_seconds\":");
        head.append(&mut to_json(&seconds(until.since(now))));
    }
    if let Some(by) = &view.frozen {
        head.extend_from_slice(b",\"frozen\":");
        head.append(&mut to_json(&Frozen::from(&**by)));
    }
    head.extend(format!(",\"queue_length\":{},\"holders\":[", view.waiters).bytes());
    let name = view.name;
    let holders = listed(view.holds, move |hold| {
        let key = catalog.as_ref().map(|catalog| catalog.written_key(hold.dialect, hold.key, &name));
        to_json(&Hold::new(&hold, now, key))
    });
    let waiters = view.queue.map(|queue| {
        let shown = Waiter::shown(queue.into_iter());
        once(b"],\"waiters\":[".to_vec()).chain(listed(shown, move |waiter| to_json(&Waiter::new(&waiter, now))))
    });
    once(head).chain(holders).chain(waiters.into_iter().flatten()).chain(once(b"]}".to_vec()))
}

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
    use super::super::schema::{Lock, LockList, SessionList};
    use super::*;
    use crate::access::Role;
    use crate::domain::view::{HoldView, WaiterView};
    use crate::domain::{Dialect, HoldKey, Metadata, SHARED, SessionId, Terms, Token};
    use crate::http::catalog::HoldDialect;

    const NOW: Timestamp = Timestamp(3_000);
    const KEY: HoldKey = HoldKey([0x9e, 0x2c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);

    fn lock_of(dialect: Dialect) -> LockView {
        let hold = HoldView {
            key: KEY,
            token: Token(7),
            dialect,
            session: Some(SessionId([5; 16])),
            label: None,
            credential: 0,
            since: Timestamp(1_000),
            deadline: Some(Timestamp(9_000)),
            ends: Some(Timestamp(4_500)),
            metadata: [("host", "web-1")].into_iter().collect::<Metadata>(),
            terms: None,
        };
        LockView {
            name: "ops/a".into(),
            size: 1,
            holds: vec![hold],
            waiters: 2,
            delayed_until: None,
            frozen: None,
            queue: None,
        }
    }

    fn waiter(position: u32, orphaned: bool) -> WaiterView {
        WaiterView {
            key: KEY,
            label: Some("w".into()),
            session: None,
            dialect: Dialect::RaftLockRest,
            since: Timestamp(2_000),
            deadline: Timestamp(3_500),
            priority: 0,
            position,
            metadata: Metadata::default(),
            size: 1,
            terms: None,
            upgrades: false,
            orphaned,
        }
    }

    #[test]
    fn shown_waiters_have_no_keys_and_leave_out_lost_requests() {
        let queue = Some(vec![waiter(0, true), waiter(0, false), waiter(1, false)]);
        let view = LockView { queue, ..lock_of(Dialect::LdlmRest) };
        let admin = Identity::anonymous(Role::Admin);
        let shown: serde_json::Value =
            serde_json::from_str(&text(lock(view, NOW, &admin, Arc::default()))).expect("JSON");
        let waiter = |position| {
            serde_json::json!({
                "position": position, "dialect": "lock-unlock", "waiting_for_seconds": 1.0, "remaining_seconds": 0.5,
                "session": null, "owner": "w", "metadata": {}, "mode": "exclusive",
            })
        };
        assert_eq!(shown["waiters"], serde_json::json!([waiter(0), waiter(1)]));
    }

    fn text(pieces: impl Iterator<Item = Vec<u8>>) -> String {
        String::from_utf8(pieces.flatten().collect()).expect("text")
    }

    fn json(shape: &impl serde::Serialize) -> String {
        String::from_utf8(to_json(shape)).expect("text")
    }

    fn shown(dialect: Dialect, viewer: &Identity) -> serde_json::Value {
        let of_name = |key, name: &str| format!("{name}:{key}");
        let dialects = vec![HoldDialect { id: Dialect::RaftLockRest, title: "", write_key: of_name }];
        let catalog = Arc::new(Catalog { dialects, ..Catalog::default() });
        serde_json::from_str(&text(lock(lock_of(dialect), NOW, viewer, catalog))).expect("JSON")
    }

    #[test]
    fn shown_lock_has_no_secrets() {
        let shown = shown(Dialect::LdlmRest, &Identity::anonymous(Role::Client));
        let handle = SessionId([5; 16]).handle();
        assert_eq!(
            shown,
            serde_json::json!({
                "name": "ops/a", "size": 1, "mode": "exclusive", "queue_length": 2,
                "holders": [{
                    "fencing_token": 7, "dialect": "sessions-v1", "held_for_seconds": 2.0, "remaining_seconds": 1.5,
                    "session": handle, "owner": null, "metadata": {"host": "web-1"},
                }],
            })
        );
    }

    #[test]
    fn only_admins_of_the_name_see_keys() {
        let key = |dialect, viewer: &Identity| shown(dialect, viewer)["holders"][0]["key"].clone();
        let admin = Identity::anonymous(Role::Admin);
        assert_eq!(key(Dialect::DoubleDutch, &admin), KEY.to_string());
        assert_eq!(key(Dialect::RaftLockRest, &admin), format!("ops/a:{KEY}"));
        let elsewhere = Identity::new("it", Role::Admin, &["build/".to_owned()]);
        let reader = Identity::anonymous(Role::ReadOnly);
        assert!(key(Dialect::LdlmRest, &elsewhere).is_null());
        assert!(key(Dialect::LdlmRest, &reader).is_null());
    }

    #[test]
    fn streamed_json_equals_the_serialised_types() {
        let catalog = Arc::new(Catalog::default());
        let queue = Some(vec![waiter(0, false), waiter(1, true), waiter(1, false)]);
        let terms = Terms { weight: 3, names: vec![("a".into(), 1), ("b".into(), 1)], ..Terms::default() };
        let mut rich = lock_of(Dialect::RaftLockRest);
        (rich.size, rich.delayed_until, rich.holds[0].terms) = (SHARED, Some(Timestamp(4_000)), Some(Arc::new(terms)));
        let views = [LockView { queue, ..lock_of(Dialect::LdlmRest) }, rich];
        for role in [Role::Client, Role::Admin] {
            let viewer = Identity::anonymous(role);
            let whole = |view: &LockView| Lock::new(view, NOW, viewer.is_admin().then_some(&catalog));
            for (count, next_cursor) in [(0, None), (1, None), (2, Some("a \"cursor\"".to_owned()))] {
                let views = views[..count].to_vec();
                let list = LockList { locks: views.iter().map(whole).collect(), next_cursor: next_cursor.clone() };
                let streamed = locks(views, next_cursor, NOW, viewer.clone(), Arc::clone(&catalog));
                assert_eq!(text(streamed), json(&list));
            }
            let one = json(&whole(&views[0]));
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
        let next_cursor = Some("next".to_owned());
        let list = SessionList {
            sessions: views.iter().map(|view| Session::new(view, NOW)).collect(),
            next_cursor: next_cursor.clone(),
        };
        assert_eq!(text(sessions(views, next_cursor, NOW)), json(&list));
    }
}
