//! The content of the status page, read from the engine: bounded, contended locks first, without keys.

use crate::access::Identity;
use crate::domain::view::{Counts, HoldView, LockFilter, LockView, SessionView};
use crate::domain::{Dialect, Name, Timestamp, Token};
use crate::engine::PageLimit;
use crate::engine::{ClusterView, Engine, Fault};
use arcstr::ArcStr;
use std::time::Duration;

const LOCKS_SHOWN: PageLimit = PageLimit { rows: 100, bytes: 128 << 10 };
const SESSIONS_SHOWN: usize = 50;
/// The holds shown of one lock; a semaphore may have thousands.
const HOLDS_SHOWN: usize = 8;

/// The parameters of the page.
#[derive(Clone, Debug, Default)]
pub struct PageQuery {
    /// Only names that start like this.
    pub prefix: String,
    /// The last name of the page before; the contended locks stand on the first page.
    pub after: Option<String>,
    /// Where the viewer found this server, for the example of the empty page: `https://host:port`.
    pub origin: String,
    /// A credential is configured, so that the example needs one.
    pub needs_credential: bool,
}

pub struct View {
    pub query: PageQuery,
    pub version: &'static str,
    pub ready: bool,
    pub uptime: Duration,
    pub cluster: ClusterView,
    /// `None` for a viewer who may not see the whole service.
    pub whole: Option<Whole>,
    pub contended: Vec<Lock>,
    pub more_contended: bool,
    pub others: Vec<Lock>,
    /// The name after which the next page begins.
    pub next: Option<Name>,
}

/// The part for viewers who may see every name.
pub struct Whole {
    pub counts: Counts,
    pub sessions: Vec<Session>,
}

pub struct Lock {
    pub name: Name,
    pub size: u32,
    pub waiters: u32,
    pub holds: Vec<Hold>,
    pub holds_not_shown: usize,
}

pub struct Hold {
    pub token: Token,
    /// The title of the dialect through which it was taken.
    pub dialect: &'static str,
    pub session: Option<String>,
    pub label: Option<ArcStr>,
    pub metadata: Vec<(String, String)>,
    pub held_for: Duration,
    pub remaining: Option<Duration>,
    /// It ends with its session, which ends sooner than its lease.
    pub with_session: bool,
}

pub struct Session {
    pub handle: String,
    pub holds: u32,
    pub waiters: u32,
    pub idle_timeout: Duration,
    pub ends_in: Option<Duration>,
}

/// Reads the state that this viewer may see.
pub async fn gather(
    engine: &Engine,
    viewer: &Identity,
    query: PageQuery,
    title: impl Fn(Dialect) -> &'static str,
) -> Result<View, Fault> {
    let prefixes = viewer.prefixes_under(&query.prefix);
    let others = LockFilter { prefixes, held: None, contended: Some(false) };
    let contended = LockFilter { contended: Some(true), ..others.clone() };
    let after = query.after.as_deref().map(Name::from);
    // Looking for waiters reads every lock, so it is not done where there are none.
    let first = match after {
        None if engine.overview().counts.waiters > 0 => Some(engine.locks(contended, None, LOCKS_SHOWN).await?),
        _ => None,
    };
    let rest = engine.locks(others, after, LOCKS_SHOWN).await?;
    let whole = if viewer.sees_every_name() { Some(whole(engine).await?) } else { None };
    Ok(View {
        query,
        version: env!("CARGO_PKG_VERSION"),
        ready: engine.is_ready(),
        uptime: engine.overview().uptime,
        cluster: engine.cluster().await,
        whole,
        more_contended: first.as_ref().is_some_and(|page| page.next.is_some()),
        contended: first.map_or_else(Vec::new, |page| longest_queue_first(page.locks, page.now, &title)),
        others: rest.locks.into_iter().map(|view| lock(view, rest.now, &title)).collect(),
        next: rest.next,
    })
}

async fn whole(engine: &Engine) -> Result<Whole, Fault> {
    let page = engine.sessions(None, SESSIONS_SHOWN).await?;
    let sessions = page.sessions.iter().map(|view| session(view, page.now)).collect();
    Ok(Whole { counts: engine.overview().counts, sessions })
}

fn longest_queue_first(
    mut views: Vec<LockView>,
    now: Timestamp,
    title: &impl Fn(Dialect) -> &'static str,
) -> Vec<Lock> {
    views.sort_by(|one, other| other.waiters.cmp(&one.waiters).then_with(|| one.name.cmp(&other.name)));
    views.into_iter().map(|view| lock(view, now, title)).collect()
}

fn lock(view: LockView, now: Timestamp, title: &impl Fn(Dialect) -> &'static str) -> Lock {
    Lock {
        name: view.name,
        size: view.size,
        waiters: view.waiters,
        holds_not_shown: view.holds.len().saturating_sub(HOLDS_SHOWN),
        holds: view.holds.iter().take(HOLDS_SHOWN).map(|view| hold(view, now, title(view.dialect))).collect(),
    }
}

fn hold(view: &HoldView, now: Timestamp, dialect: &'static str) -> Hold {
    Hold {
        token: view.token,
        dialect,
        session: view.session.map(|session| session.handle()),
        label: view.label.clone(),
        metadata: view.metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        held_for: now.since(view.since),
        remaining: view.ends.map(|end| end.since(now)),
        with_session: view.ends != view.deadline,
    }
}

fn session(view: &SessionView, now: Timestamp) -> Session {
    Session {
        handle: view.session.handle(),
        holds: view.holds,
        waiters: view.waiters,
        idle_timeout: Duration::from_millis(view.idle_timeout_ms),
        ends_in: view.deadline.map(|deadline| deadline.since(now)),
    }
}
