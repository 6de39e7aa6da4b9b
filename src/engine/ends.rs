//! When sessions and their holds end if nothing more is heard of them.

use super::face::Engine;
use crate::domain::time::round_up_ms;
use crate::domain::{Grant, Name, SessionId, Timestamp};
use std::time::Duration;

impl Engine {
    /// How long this session lives without a request; of one that this node does not know, how long most do.
    pub fn idle_timeout_of(&self, session: SessionId) -> Duration {
        let usual = self.0.session_idle_timeout;
        // Every answer of a session asks, and the table is busy: it is asked only where some session is unlike the rest.
        if !self.0.core.host.idle_timeouts.differ_from(usual) {
            return usual;
        }
        let view = self.0.core.host.table().session_view(session);
        view.map_or(usual, |view| Duration::from_millis(view.idle_timeout_ms))
    }

    /// When a hold ends that was just granted to this session. Its session was seen no earlier than it was granted, so
    /// the table, which is busy, is asked only where the lease is longer than the idle timeout.
    pub(super) fn end_of(
        &self,
        name: &Name,
        grant: &Grant,
        session: Option<SessionId>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let Some(session) = session else { return grant.deadline };
        let idle_ms = round_up_ms(self.idle_timeout_of(session));
        match grant.deadline {
            Some(deadline) if deadline <= grant.since.after_ms(idle_ms) => Some(deadline),
            // One that has ended meanwhile had its lease.
            deadline => self.0.core.host.table().end_of_hold(name, grant.key, now).or(deadline),
        }
    }
}
