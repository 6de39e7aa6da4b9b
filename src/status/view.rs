//! The content of the status page, read from the engine: bounded, contended locks first, without keys.

use crate::access::Identity;
use crate::domain::Name;
use crate::domain::view::{Counts, LockFilter};
use crate::engine::{ClusterView, Engine, Fault, LockPage, PageLimit, SessionPage};
use std::time::Duration;

const LOCKS_SHOWN: PageLimit = PageLimit { rows: 100, bytes: 128 << 10 };
const SESSIONS_SHOWN: usize = 50;

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
    pub ready: bool,
    pub uptime: Duration,
    pub cluster: ClusterView,
    /// `None` for a viewer who may not see the whole service.
    pub whole: Option<Whole>,
    /// The longest queue first; `None` if there is none, or after the first page.
    pub contended: Option<LockPage>,
    pub others: LockPage,
}

/// The part for viewers who may see every name.
pub struct Whole {
    pub counts: Counts,
    pub sessions: SessionPage,
}

/// Reads the state that this viewer may see.
pub async fn gather(engine: &Engine, viewer: &Identity, query: PageQuery) -> Result<View, Fault> {
    let prefixes = viewer.prefixes_under(&query.prefix);
    let others = LockFilter { prefixes, held: None, contended: Some(false) };
    let after = query.after.as_deref().map(Name::from);
    // Looking for waiters reads every lock, so it is not done where there are none.
    let contended = match after {
        None if engine.overview().counts.waiters > 0 => {
            let filter = LockFilter { contended: Some(true), ..others.clone() };
            let mut page = engine.locks(filter, None, LOCKS_SHOWN).await?;
            page.locks.sort_by(|one, other| other.waiters.cmp(&one.waiters).then_with(|| one.name.cmp(&other.name)));
            Some(page).filter(|page| !page.locks.is_empty())
        }
        _ => None,
    };
    let others = engine.locks(others, after, LOCKS_SHOWN).await?;
    let whole = match viewer.sees_every_name() {
        true => {
            Some(Whole { sessions: engine.sessions(None, SESSIONS_SHOWN).await?, counts: engine.overview().counts })
        }
        false => None,
    };
    Ok(View {
        query,
        ready: engine.is_ready(),
        uptime: engine.overview().uptime,
        cluster: engine.cluster().await,
        whole,
        contended,
        others,
    })
}
