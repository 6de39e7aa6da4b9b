//! The bodies of answers.

use crate::access::Identity;
use crate::domain::Timestamp;
use crate::domain::view::{HoldView, LockView, SessionView};
use crate::http::catalog::Catalog;
use crate::http::respond::seconds;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One page of locks, in the order of their names.
#[derive(Serialize, ToSchema)]
#[schema(as = LockList)]
pub struct LockList {
    locks: Vec<Lock>,
    /// Pass it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A lock and those who hold it.
#[derive(Serialize, ToSchema)]
#[schema(as = Lock)]
pub struct Lock {
    #[schema(example = "deploy/production")]
    name: String,
    /// How many holds the lock has room for.
    size: u32,
    /// How many wait for it.
    queue_length: u32,
    /// Oldest first.
    holders: Vec<Hold>,
}

/// A hold, as others may see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct Hold {
    fencing_token: u64,
    /// The dialect through which it was taken.
    #[schema(example = "sessions-v1")]
    dialect: &'static str,
    held_for_seconds: f64,
    /// Until the hold ends if nothing more is heard of its owner: with its lease, or with its session where that is
    /// sooner. Null with neither.
    remaining_seconds: Option<f64>,
    /// The handle of the session that holds; null without a session.
    #[schema(example = "a1b2c3d4e5f6")]
    session: Option<String>,
    /// The owner's label, in dialects that have them.
    owner: Option<String>,
    metadata: BTreeMap<String, String>,
    /// The key as its dialect writes it. Shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// One page of sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionList)]
pub struct SessionList {
    sessions: Vec<Session>,
    /// Pass it as `cursor` for the next page; null on the last one. Valid until the server restarts.
    next_cursor: Option<String>,
}

/// A session. Its id is its owner's secret; the handle names it.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct Session {
    #[schema(example = "a1b2c3d4e5f6")]
    session: String,
    holds: u32,
    waiters: u32,
    idle_timeout_seconds: f64,
    /// Until it ends if nothing more is heard from it; null while one of its requests waits.
    remaining_seconds: Option<f64>,
}

/// The hold that was ended.
#[derive(Serialize, ToSchema)]
#[schema(as = ForcedRelease)]
pub struct ForcedRelease {
    pub name: String,
    /// The token of the hold that was ended.
    pub fencing_token: u64,
    /// Whether a waiter holds the lock now.
    pub waiter_granted: bool,
}

impl LockList {
    pub fn new(
        locks: &[LockView],
        next_cursor: Option<String>,
        now: Timestamp,
        viewer: &Identity,
        catalog: &Catalog,
    ) -> LockList {
        LockList { locks: locks.iter().map(|lock| Lock::new(lock, now, viewer, catalog)).collect(), next_cursor }
    }
}

impl Lock {
    pub fn new(lock: &LockView, now: Timestamp, viewer: &Identity, catalog: &Catalog) -> Lock {
        Lock::shown(lock, now, viewer.may_administer(&lock.name).then_some(catalog))
    }

    /// For streams, which are more likely to be kept than answers.
    pub fn without_keys(lock: &LockView, now: Timestamp) -> Lock {
        Lock::shown(lock, now, None)
    }

    fn shown(lock: &LockView, now: Timestamp, keys: Option<&Catalog>) -> Lock {
        let key = |hold: &HoldView| keys.map(|catalog| catalog.written_key(hold.dialect, hold.key, &lock.name));
        Lock {
            name: lock.name.to_string(),
            size: lock.size,
            queue_length: lock.waiters,
            holders: lock.holds.iter().map(|hold| Hold::new(hold, now, key(hold))).collect(),
        }
    }
}

impl Hold {
    /// `key` if the viewer may see it, in the format that the holder knows.
    pub fn new(hold: &HoldView, now: Timestamp, key: Option<String>) -> Hold {
        Hold {
            fencing_token: hold.token.0,
            dialect: hold.dialect.as_str(),
            held_for_seconds: seconds(now.since(hold.since)),
            remaining_seconds: hold.ends.map(|end| seconds(end.since(now))),
            session: hold.session.map(|session| session.handle()),
            owner: hold.label.as_deref().map(str::to_owned),
            metadata: hold.metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            key,
        }
    }
}

impl SessionList {
    pub fn new(sessions: &[SessionView], next_cursor: Option<String>, now: Timestamp) -> SessionList {
        SessionList { sessions: sessions.iter().map(|session| Session::new(session, now)).collect(), next_cursor }
    }
}

impl Session {
    pub fn new(session: &SessionView, now: Timestamp) -> Session {
        Session {
            session: session.session.handle(),
            holds: session.holds,
            waiters: session.waiters,
            idle_timeout_seconds: session.idle_timeout_ms as f64 / 1000.0,
            remaining_seconds: session.deadline.map(|deadline| seconds(deadline.since(now))),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::access::Role;
    use crate::domain::{Dialect, HoldKey, Metadata, SessionId, Token};
    use crate::http::catalog::HoldDialect;

    const KEY: HoldKey = HoldKey([0x9e, 0x2c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);

    pub fn lock_of(dialect: Dialect) -> LockView {
        let hold = HoldView {
            key: KEY,
            token: Token(7),
            dialect,
            session: Some(SessionId([5; 16])),
            label: None,
            since: Timestamp(1_000),
            deadline: Some(Timestamp(9_000)),
            ends: Some(Timestamp(4_500)),
            metadata: [("host", "web-1")].into_iter().collect::<Metadata>(),
        };
        LockView { name: "ops/a".into(), size: 1, holds: vec![hold], waiters: 2 }
    }

    fn shown(dialect: Dialect, viewer: &Identity) -> serde_json::Value {
        let of_name = |key, name: &str| format!("{name}:{key}");
        let dialects = vec![HoldDialect { id: Dialect::RaftLockRest, title: "", write_key: of_name }];
        let catalog = Catalog { dialects, ..Catalog::default() };
        serde_json::to_value(Lock::new(&lock_of(dialect), Timestamp(3_000), viewer, &catalog)).expect("JSON")
    }

    #[test]
    fn shown_lock_has_no_secrets() {
        let shown = shown(Dialect::LdlmRest, &Identity::anonymous(Role::Client));
        let handle = SessionId([5; 16]).handle();
        assert_eq!(
            shown,
            serde_json::json!({
                "name": "ops/a", "size": 1, "queue_length": 2,
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
}
