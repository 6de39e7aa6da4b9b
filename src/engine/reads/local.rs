//! Local reads: what this node's own table says at once, without asking a leader.

use super::reader::TableReader;
use crate::domain::view::{HoldView, LockView, WaiterView};
use crate::domain::{Caller, HoldKey, Name, Refusal, SessionId};
use crate::engine::table_host::EndedHold;
use std::time::Duration;

impl TableReader {
    pub fn local_lock(&self, name: &Name) -> Option<LockView> {
        self.host.table().lock_view(name, self.now())
    }

    pub fn local_hold(&self, name: &Name, key: HoldKey) -> Option<HoldView> {
        self.local_lock(name)?.holds.into_iter().find(|hold| hold.key == key)
    }

    /// Who waits for a lock, in the order of their turns.
    pub fn local_waiters(&self, name: &Name) -> Vec<WaiterView> {
        self.host.table().waiters_view(name, self.now())
    }

    /// The last hold of a lock that is free now, if this process has seen it end and a dialect shows it.
    pub fn last_ended_hold(&self, name: &Name) -> Option<EndedHold> {
        self.host.ended_holds.of(name)
    }

    /// Whether anything would be lost if this session ended.
    pub fn session_has_holds(&self, session: SessionId) -> bool {
        self.host.table().holds_of(session) > 0
    }

    pub fn is_live(&self, session: SessionId) -> bool {
        self.host.table().is_live(session)
    }

    pub fn check_session_of(&self, session: SessionId, caller: Caller) -> Result<(), Refusal> {
        self.host.table().check_session_of(session, caller)
    }

    /// How long this session lives without a request; `usual` for one that this node does not know.
    pub fn idle_timeout_of(&self, session: SessionId, usual: Duration) -> Duration {
        // Every answer of a session asks for it, so the busy table is asked only if some session differs from the rest.
        if !self.host.idle_timeouts.differ_from(usual) {
            return usual;
        }
        let view = self.host.table().session_view(session);
        view.map_or(usual, |view| Duration::from_millis(view.idle_timeout_ms))
    }
}
