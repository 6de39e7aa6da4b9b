//! The bodies of answers.

use crate::base::clock;
use crate::domain::view::{HoldView, LockView, Mode, SessionView, WaiterView};
use crate::domain::{Metadata, PastHold, Terms, Timestamp};
use crate::http::Catalog;
use crate::http::frozen::Frozen;
use crate::http::respond::seconds;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// One page of locks, in the order of their names.
#[derive(Serialize, ToSchema)]
#[schema(as = LockList)]
pub struct LockList {
    pub locks: Vec<Lock>,
    /// Pass it as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// A lock and those who hold it.
#[derive(Serialize, ToSchema)]
#[schema(as = Lock)]
pub struct Lock {
    #[schema(example = "deploy/production")]
    name: String,
    /// How many holds the lock has room for; 4294967295 if it is shared.
    size: u32,
    /// `exclusive`, `shared` or `counted`.
    #[schema(example = "exclusive")]
    mode: &'static str,
    /// Until somebody may be granted it, where a hold with a `lock_delay_seconds` ended uncleanly.
    #[serde(skip_serializing_if = "Option::is_none")]
    delayed_for_seconds: Option<f64>,
    /// The freeze that keeps it from being granted. There if one lock was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen: Option<Frozen>,
    /// How many wait for it.
    queue_length: u32,
    /// Oldest first.
    holders: Vec<Hold>,
    /// In the order of their turns, at most a thousand. There if one lock was asked for. Waiters whose request was lost are
    /// not shown: they are passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiters: Option<Vec<Waiter>>,
}

/// How many waiters are shown.
const WAITERS_MAX: usize = 1_000;

/// A waiter, as others may see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Waiter)]
pub struct Waiter {
    /// How many waiters are ahead of it.
    position: u32,
    /// The dialect through which it waits.
    #[schema(example = "sessions-v1")]
    dialect: &'static str,
    waiting_for_seconds: f64,
    /// Until it gives up.
    remaining_seconds: f64,
    /// The handle of the session that waits; null without a session.
    #[schema(example = "a1b2c3d4e5f6")]
    session: Option<String>,
    /// The owner's label, in dialects that have them.
    owner: Option<String>,
    metadata: BTreeMap<String, String>,
    /// `exclusive`, `shared` or `counted`: what it asks for; `upgrade` if it holds the lock with others and waits to be the
    /// only one.
    #[schema(example = "exclusive")]
    mode: &'static str,
    #[serde(flatten)]
    #[schema(inline)]
    terms: ShownTerms,
}

/// What a hold is, or a waiter asks for, beyond one place in one lock.
#[derive(Serialize, ToSchema)]
pub struct ShownTerms {
    /// How many places of a counted lock it takes. There if not 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    /// How many names it has. There if not 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_count: Option<u32>,
    /// What the leader of an election says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
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
    #[serde(flatten)]
    #[schema(inline)]
    terms: ShownTerms,
    /// The key as its dialect writes it. Shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

/// The history of a lock.
#[derive(Serialize, ToSchema)]
#[schema(as = LockHistory)]
pub struct LockHistory {
    #[schema(example = "deploy/production")]
    pub name: String,
    /// Newest first.
    pub ended_holds: Vec<EndedHold>,
}

/// A hold that has ended.
#[derive(Serialize, ToSchema)]
#[schema(as = EndedHold)]
pub struct EndedHold {
    /// The last one of the hold.
    fencing_token: u64,
    /// The dialect through which it was taken.
    #[schema(example = "sessions-v1")]
    dialect: &'static str,
    /// `exclusive`, `shared` or `counted`: how the lock was held when it ended.
    #[schema(example = "exclusive")]
    mode: &'static str,
    /// By the clock of the leader, in whole seconds.
    #[schema(format = DateTime, example = "2026-11-27T02:58:13Z")]
    acquired_at: String,
    #[schema(format = DateTime, example = "2026-11-27T03:04:05Z")]
    ended_at: String,
    ended_seconds_ago: f64,
    /// Time in which no node ran does not count, as for leases.
    held_for_seconds: f64,
    /// `released` by its owner, `expired` with its lease, `forced` by an admin, `session-closed` or `session-idle` with its
    /// session, or `transferred` to another session.
    #[schema(example = "forced")]
    end: &'static str,
    /// The name of the credential that forced the end. Shown to admins of the name only.
    #[serde(skip_serializing_if = "Option::is_none")]
    forced_by: Option<String>,
    /// Why it was forced.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The handle of the session that held; null without a session.
    #[schema(example = "a1b2c3d4e5f6")]
    session: Option<String>,
    /// The owner's label, in dialects that have them.
    owner: Option<String>,
    metadata: BTreeMap<String, String>,
    /// How many places of a counted lock it took. There if not 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<u32>,
    /// What the leader of an election said about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// One page of sessions.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionList)]
pub struct SessionList {
    pub sessions: Vec<Session>,
    /// Pass it as `cursor` for the next page; null on the last one. Valid until the server restarts.
    pub next_cursor: Option<String>,
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
    /// All names of the hold, if it had several: it has ended under each of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub names: Vec<String>,
}

impl Lock {
    /// With the keys of its holds if a catalog is given, which writes them.
    pub fn new(lock: &LockView, now: Timestamp, keys: Option<&Catalog>) -> Lock {
        let key = |hold: &HoldView| keys.map(|catalog| catalog.written_key(hold.dialect, hold.key, &lock.name));
        Lock {
            name: lock.name.to_string(),
            size: lock.size,
            mode: lock.mode().as_str(),
            frozen: lock.frozen.as_deref().map(Frozen::from),
            delayed_for_seconds: lock.delayed_until.map(|until| seconds(until.since(now))),
            queue_length: lock.waiters,
            holders: lock.holds.iter().map(|hold| Hold::new(hold, now, key(hold))).collect(),
            waiters: lock
                .queue
                .as_deref()
                .map(|queue| Waiter::shown(queue.iter().cloned()).map(|waiter| Waiter::new(&waiter, now)).collect()),
        }
    }
}

impl Waiter {
    /// Those of a queue that are shown.
    pub fn shown(queue: impl Iterator<Item = WaiterView>) -> impl Iterator<Item = WaiterView> {
        queue.filter(|waiter| !waiter.orphaned).take(WAITERS_MAX)
    }

    pub fn new(waiter: &WaiterView, now: Timestamp) -> Waiter {
        Waiter {
            position: waiter.position,
            dialect: waiter.dialect.as_str(),
            waiting_for_seconds: seconds(now.since(waiter.since)),
            remaining_seconds: seconds(waiter.deadline.since(now)),
            session: waiter.session.map(|session| session.handle()),
            owner: waiter.label.as_deref().map(str::to_owned),
            metadata: shown_metadata(&waiter.metadata),
            mode: if waiter.upgrades { "upgrade" } else { Mode::of(waiter.size).as_str() },
            terms: ShownTerms::of(waiter.terms.as_deref()),
        }
    }
}

impl ShownTerms {
    /// The other names are not told: the viewer may not be allowed to see them.
    fn of(terms: Option<&Terms>) -> ShownTerms {
        let name_count = terms.map_or(0, |terms| terms.names.len() as u32);
        ShownTerms {
            weight: terms.map(|terms| terms.weight).filter(|weight| *weight != 1),
            name_count: Some(name_count).filter(|count| *count > 1),
            value: terms.and_then(|terms| terms.value.as_ref()).map(|value| value.to_string()),
        }
    }
}

fn shown_metadata(metadata: &Metadata) -> BTreeMap<String, String> {
    metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
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
            owner: hold.shown_label().map(str::to_owned),
            metadata: shown_metadata(&hold.metadata),
            terms: ShownTerms::of(hold.terms.as_deref()),
            key,
        }
    }
}

impl EndedHold {
    /// `now` since 1970.
    pub fn new(past: &PastHold, now: Duration, shows_actor: bool) -> EndedHold {
        let force = past.force();
        EndedHold {
            fencing_token: past.token.0,
            dialect: past.dialect.as_str(),
            mode: Mode::of(past.size).as_str(),
            acquired_at: clock::rfc3339(past.acquired_at().as_secs()),
            ended_at: clock::rfc3339(past.ended_at().as_secs()),
            ended_seconds_ago: seconds(now.saturating_sub(past.ended_at())),
            held_for_seconds: seconds(past.held_for()),
            end: past.end(),
            forced_by: force.filter(|_| shows_actor).map(|force| force.by.to_string()),
            reason: force.map(|force| force.reason.to_string()),
            session: past.session().map(|session| session.handle()),
            owner: past.label().map(str::to_owned),
            metadata: shown_metadata(&past.metadata),
            weight: Some(past.weight).filter(|weight| *weight != 1),
            value: past.value().map(|value| value.to_string()),
        }
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
