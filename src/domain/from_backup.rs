//! A table taken from a backup becomes the beginning of another service.

use super::ids::{Name, SessionId, Token};
use super::lock::Place;
use super::nodes::LEVEL_OF_LIVES;
use super::outcome::{EndReason, WaitEnd};
use super::table::{Run, Table, life_of};

/// The service went on after the backup: no token that it gave since may be given again.
const TOKENS_PAST_BACKUP: u64 = 1_000_000_000;

impl Table {
    /// Leaves what is asked for: sessions, and holds (those of sessions only with them). Nobody waits any more, no
    /// node is known, and what idempotency keys made counts as ended where it is gone. Tokens go on far above those
    /// of the backup, and not below `first_token`. The log is to begin there, so event ids need no other origin; their
    /// random part is from `random`, and the level what it takes to have one: no other program knows this table.
    pub fn begin_from_backup(&mut self, first_token: u64, random: u64, keep_sessions: bool, keep_holds: bool) {
        let mut run = Run { events: Vec::new(), budget: u32::MAX };
        let names: Vec<Name> = self.locks.iter().map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.end_all_waits(&mut run, name));
        if !keep_sessions {
            self.end_all_sessions(&mut run);
        }
        names.iter().for_each(|name| self.end_holds_unless(&mut run, name, keep_holds));
        self.sweep(&mut run);
        self.nodes.clear();
        self.confirm = false;
        self.level = self.level.max(LEVEL_OF_LIVES);
        (self.origin, self.life) = (0, life_of(random));
        self.next_token = self.next_token.saturating_add(TOKENS_PAST_BACKUP).max(first_token).min(Token::END);
    }

    fn end_all_waits(&mut self, run: &mut Run, name: &Name) {
        let places: Vec<Place> =
            self.locks.get(name).map_or_else(Vec::new, |lock| lock.queue.iter().map(|(place, _)| *place).collect());
        places.into_iter().for_each(|place| self.end_wait(run, name, place, WaitEnd::Cancelled));
    }

    fn end_all_sessions(&mut self, run: &mut Run) {
        let live: Vec<SessionId> =
            self.sessions.iter().filter(|(_, session)| !session.ended).map(|(id, _)| *id).collect();
        live.into_iter().for_each(|session| self.end_session(run, session, false));
    }

    /// What is kept counts as answered: the client may have been told after the backup.
    fn end_holds_unless(&mut self, run: &mut Run, name: &Name, keep: bool) {
        let holds: Vec<(Token, Option<SessionId>)> = self
            .locks
            .get(name)
            .map_or_else(Vec::new, |lock| lock.holds.iter().map(|hold| (hold.token, hold.owner.session())).collect());
        for (token, session) in holds {
            if keep && session.is_none_or(|session| self.is_live(session)) {
                self.heard_of(name, token, |claim| claim.attempt);
            } else {
                self.end_hold(run, name, token, EndReason::SessionEnded);
            }
        }
        self.forget_unused(name);
    }
}
