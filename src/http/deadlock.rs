//! A deadlock as the caller may see it.

use crate::domain::Blocked;
use serde::Serialize;
use utoipa::ToSchema;

/// One step of a deadlock.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct BlockedBy {
    /// The lock; null if this credential may not see it.
    name: Option<String>,
    /// Who holds it or is ahead in its queue: the handle of a session, or an owner label.
    held_by: String,
    /// Who waits for it.
    waited_for_by: String,
}

impl BlockedBy {
    /// The steps of a cycle. The names that the caller may not see are not told.
    pub fn all(cycle: &[Blocked], may_see: impl Fn(&str) -> bool) -> Vec<BlockedBy> {
        let step = |Blocked { name, by, waiter }: &Blocked| BlockedBy {
            name: may_see(name).then(|| name.to_string()),
            held_by: by.shown(),
            waited_for_by: waiter.shown(),
        };
        cycle.iter().map(step).collect()
    }
}
