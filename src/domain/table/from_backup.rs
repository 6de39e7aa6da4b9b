//! A table from a backup becomes the start of a new service.

use super::apply::table_id;
use super::{Effects, Table};
use crate::domain::ids::{Name, Token};
use crate::domain::limits::Feature;
use crate::domain::locks::Place;
use crate::domain::outcome::{EndReason, WaitEnd};

/// The old service went on after the backup: no token that it issued since may be issued again.
const TOKENS_PAST_BACKUP: u64 = 1_000_000_000;

impl Table {
    /// Keeps sessions and holds if asked to (holds of sessions only with the sessions). All waiters and nodes are
    /// removed, and idempotency keys end with their results. Tokens continue far above those of the backup, and
    /// not below `first_token`. The log must start there too, so events need no origin. The level is at least that of
    /// table ids, because no other program knows this table.
    pub fn begin_from_backup(&mut self, first_token: u64, random: u64, keep_sessions: bool, keep_holds: bool) {
        let mut effects = Effects::new(u32::MAX);
        let names: Vec<Name> = self.locks.names().cloned().collect();
        names.iter().for_each(|name| self.end_all_waits(&mut effects, name));
        if !keep_sessions {
            self.sessions.live_ids().into_iter().for_each(|id| self.end_session(&mut effects, id, None));
        }
        names.iter().for_each(|name| self.end_or_confirm_holds(&mut effects, name, keep_holds));
        self.clear_ended_sessions(&mut effects);
        let header = &mut self.header;
        header.nodes.clear();
        header.confirm = false;
        header.level = header.level.max(Feature::TableIds as u32);
        (header.event_origin, header.table_id) = (0, table_id(random));
        header.next_token = header.next_token.saturating_add(TOKENS_PAST_BACKUP).max(first_token).min(Token::END);
    }

    fn end_all_waits(&mut self, effects: &mut Effects, name: &Name) {
        let Some(lock) = self.locks.get(name) else { return };
        let places: Vec<Place> = lock.queue().iter().map(|(place, _)| *place).collect();
        for place in places {
            self.end_wait(effects, name, place, WaitEnd::Cancelled).without_waiters();
        }
    }

    /// A hold that is kept counts as confirmed: the client may have been answered after the backup.
    fn end_or_confirm_holds(&mut self, effects: &mut Effects, name: &Name, keep: bool) {
        let Some(lock) = self.locks.get(name) else { return };
        let holds = lock
            .holds()
            .iter()
            .map(|hold| (hold.token, hold.owner.session(), hold.tracked().and_then(|tracked| tracked.attempt)));
        for (token, session, attempt) in holds.collect::<Vec<_>>() {
            if keep && session.is_none_or(|session| self.sessions.is_live(session)) {
                self.confirm_hold(name, token, attempt);
            } else {
                self.end_hold(effects, name, token, EndReason::SessionEnded).without_waiters();
            }
        }
        self.forget_unused(name);
    }
}
