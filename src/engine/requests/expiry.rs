//! When a hold ends if its owner does nothing more.

use super::submitter::Submitter;
use crate::domain::time::round_up_ms;
use crate::domain::{Grant, Name, SessionId, Timestamp};

impl Submitter {
    /// When a hold ends that was just granted to this session: with its lease, or with its session if that is sooner.
    ///
    /// The session was seen no earlier than the grant, so the busy table is asked only if the lease is longer than the idle
    /// timeout.
    pub(super) fn end_of(
        &self,
        name: &Name,
        grant: &Grant,
        session: Option<SessionId>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let Some(session) = session else { return grant.deadline };
        let idle_ms = round_up_ms(self.reader.idle_timeout_of(session, self.session_idle_timeout));
        match grant.deadline {
            Some(deadline) if deadline <= grant.since.after_ms(idle_ms) => Some(deadline),
            // A hold that has ended meanwhile had its lease.
            deadline => self.host.table().end_of_hold(name, grant.key, now).or(deadline),
        }
    }
}
