//! The present state, for readers that missed how it came about.

use super::id::EventId;
use super::wanted::{Names, Wanted};
use crate::domain::view::{LockFilter, LockView};
use crate::domain::{FrozenTable, Timestamp};
use crate::engine::face::Engine;

/// Locks and holds that one state shows; the listing has the rest.
const LOCKS_MAX: usize = 1_000;
const HOLDS_MAX: usize = 1_000;

/// Why a reader cannot be told all that happened since its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It is older than what is kept.
    TooOld,
    /// This node took a snapshot as its state, which holds no events.
    Snapshot,
    /// No event of this service has it.
    UnknownId,
}

/// The locks that a reader wants, at one place among the events.
#[derive(Debug)]
pub struct State {
    /// What follows this is not in the state, everything before it is.
    pub place: EventId,
    /// In the order of their names.
    pub locks: Vec<LockView>,
    /// There are more than a state shows.
    pub more: bool,
    /// Cluster time of the view.
    pub now: Timestamp,
}

/// The state now, of this node's table.
pub async fn state(engine: &Engine, wanted: &Wanted) -> State {
    match &wanted.names {
        Names::One(name) => {
            let (table, place) = engine.0.core.table_and_place();
            let now = engine.now();
            let locks = table.lock_view(name, now).into_iter().collect();
            State { place, locks, more: false, now }
        }
        Names::Under(prefixes) => {
            // An error would mean that nobody lists any more, and then it is nobody's turn to wait for.
            let _turn = engine.0.listings.acquire().await;
            let (frozen, place, now) = {
                let (table, place) = engine.0.core.table_and_place();
                (table.freeze(), place, engine.now())
            };
            let prefixes = prefixes.clone();
            let listed = tokio::task::spawn_blocking(move || list(&frozen, &prefixes, now)).await;
            // Cut off only by the end of the runtime.
            let (locks, more) = listed.unwrap_or((Vec::new(), true));
            State { place, locks, more, now }
        }
    }
}

/// The locks under these prefixes as far as there is room, and whether there are more.
fn list(frozen: &FrozenTable, prefixes: &[String], now: Timestamp) -> (Vec<LockView>, bool) {
    let (mut locks, mut holds) = (Vec::new(), 0);
    for prefix in prefixes {
        let filter = LockFilter { prefix: prefix.clone(), ..LockFilter::default() };
        for lock in frozen.locks(&filter, None, now) {
            holds += lock.holds.len();
            if locks.len() >= LOCKS_MAX || holds > HOLDS_MAX {
                return (locks, true);
            }
            locks.push(lock);
        }
    }
    (locks, false)
}
