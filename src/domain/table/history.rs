//! What the table remembers of the holds of a name that have ended.

use super::{Effects, Table};
use crate::domain::history::{History, PastHold};
use crate::domain::ids::{Name, Token};
use crate::domain::limits::{Feature, Limits};
use crate::domain::locks::Hold;
use crate::domain::outcome::EndReason;
use crate::mutants::planted;

impl Table {
    /// The last holds of a name that have ended, newest first.
    pub fn history(&self, name: &Name) -> impl Iterator<Item = &PastHold> {
        let kept = usize::try_from(self.header.limits.history_per_lock).unwrap_or(usize::MAX);
        self.history.of(name).into_iter().flat_map(|ring| ring.iter().rev()).take(kept)
    }

    /// How many ended holds are remembered, and in how many bytes by the table's own estimate.
    pub fn history_size(&self) -> (usize, u64) {
        self.history.size()
    }

    /// A hold has ended under this name. No client has heard of one that was cancelled. A hold that changes its mode, or is
    /// acquired again by its owner, goes on.
    pub(super) fn remember_end(&mut self, effects: &Effects, name: &Name, hold: &Hold, why: EndReason) {
        let limits = &self.header.limits;
        let is_off = limits.history_per_lock == 0 || limits.history_bytes_max == 0;
        if is_off || why == EndReason::Cancelled || planted!("end-not-remembered", false => why == EndReason::Expired) {
            return;
        }
        let size = self.locks.get(name).map_or(1, |lock| lock.size());
        let session = hold.owner.session().filter(|_| why == EndReason::SessionEnded);
        let session = session.and_then(|session| self.sessions.get(session));
        let of_session = session.and_then(|session| session.force.as_ref()).map(|force| &*force.0);
        let force = effects.force.as_deref().filter(|_| why == EndReason::Forced).or(of_session);
        let past = PastHold {
            ended: self.header.now,
            clock_ms: self.header.clock_ms,
            timed_out: session.is_some_and(|session| session.timed_out.is_some()),
            ..PastHold::of(hold, why, size, force.cloned())
        };
        self.history.push(name, past, limits);
    }

    /// The wall clock of the leader, by which ends are dated: that of each leadership, because cluster time stands still while
    /// no node runs. A leader that does not trust its clock leaves the date as it was.
    pub(super) fn set_clock(&mut self, first_token: u64) {
        let unix_ms = first_token / Token::PER_MS;
        if self.supports(Feature::History) && unix_ms > 0 {
            self.header.clock_ms = unix_ms.saturating_sub(self.header.now.0);
        }
    }

    /// A history that is switched off is forgotten.
    pub(super) fn set_limits(&mut self, limits: &Limits) {
        self.header.limits = limits.for_level(self.header.level);
        let limits = &self.header.limits;
        if limits.history_per_lock == 0 || limits.history_bytes_max == 0 {
            self.history = History::default();
        }
    }
}
