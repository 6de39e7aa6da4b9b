//! Listings of locks, waiters and sessions from a frozen table.

use super::FrozenTable;
use crate::domain::ids::{Name, SessionId};
use crate::domain::sessions::Session;
use crate::domain::time::Timestamp;
use crate::domain::view::{LockFilter, LockView, SessionView, WaiterView};
use std::sync::Arc;

impl FrozenTable {
    /// The locks at `now`, in order of their names, from the first after `after`.
    pub fn locks<'a>(
        &'a self,
        filter: &'a LockFilter,
        after: Option<&Name>,
        now: Timestamp,
    ) -> impl Iterator<Item = LockView> + 'a {
        let prefix: Name = Arc::from(filter.prefix.as_str());
        let after = after.filter(|after| ***after >= *prefix).cloned();
        let start = after.clone().unwrap_or(prefix);
        self.locks
            .ordered_from(&start)
            .skip_while(move |(name, _)| Some(*name) == after.as_ref())
            .take_while(|(name, _)| name.starts_with(&filter.prefix))
            // Views copy their holds, so they are not made for the many locks without waiters.
            .filter(|(_, lock)| filter.contended != Some(true) || !lock.queue().is_empty())
            .filter_map(move |(name, lock)| LockView::of(name, lock, now, |session| self.live(session)))
            .filter(|view| filter.accepts(view))
    }

    /// The waiters of a lock at `now`, in order of their turns.
    pub fn waiters_view(&self, name: &Name, now: Timestamp) -> Vec<WaiterView> {
        let is_live = |session| self.live(session).is_some();
        self.locks.get(name).map_or_else(Vec::new, |lock| WaiterView::all_of(lock, now, is_live))
    }

    /// Live sessions in order of their ids.
    pub fn sessions_after(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionView> {
        let is_shown =
            |(id, session): &(&SessionId, &Session)| !session.ended && after.is_none_or(|after| **id > after);
        let mut live: Vec<(&SessionId, &Session)> = self.sessions.iter().filter(is_shown).collect();
        live.sort_unstable_by_key(|(id, _)| **id);
        live.into_iter().take(limit).map(|(id, session)| SessionView::of(*id, session)).collect()
    }

    fn live(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session).filter(|session| !session.ended)
    }
}
