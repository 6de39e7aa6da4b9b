//! What sessions that live with a connection need of the engine's face.

use super::face::Engine;
use crate::domain::{HoldKey, Name, SessionId};
use std::sync::atomic::Ordering;

impl Engine {
    /// Whether anything would be lost if this session ended.
    pub fn session_has_holds(&self, session: SessionId) -> bool {
        self.0.core.shared.table().holds_of(session) > 0
    }

    /// The session that a hold belongs to, as far as this node knows.
    pub fn session_of(&self, name: &Name, key: HoldKey) -> Option<SessionId> {
        let lock = self.0.core.shared.table().lock_view(name, self.now())?;
        lock.holds.iter().find(|hold| hold.key == key)?.session
    }

    /// Whether this process is about to end.
    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Acquire)
    }
}
