//! A deadlock as the caller may see it.

use crate::domain::{Blocked, Party};
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

/// Instead of an owner label of a lock that the caller may not see.
const HIDDEN: &str = "an owner that this credential may not see";

fn shown(party: &Party, is_seen: bool) -> String {
    match party {
        Party::Label(_) if !is_seen => HIDDEN.to_owned(),
        party => party.shown(),
    }
}

impl BlockedBy {
    /// The steps of a cycle. Names that the caller may not see, and owner labels that hold or wait for these, are not told.
    pub fn all(cycle: &[Blocked], may_see: impl Fn(&str) -> bool) -> Vec<BlockedBy> {
        let step = |Blocked { name, by, waiter }: &Blocked| {
            let is_seen = may_see(name);
            BlockedBy {
                name: is_seen.then(|| name.to_string()),
                held_by: shown(by, is_seen),
                waited_for_by: shown(waiter, is_seen),
            }
        };
        cycle.iter().map(step).collect()
    }
}
