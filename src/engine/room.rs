//! Whether more can be taken in.

use super::error::Fault;
use super::face::Engine;
use crate::domain::Command;

impl Engine {
    /// New holds and sessions need a table and a disk that can take them, and a server that stays.
    pub(super) fn check_quota(&self, command: &Command) -> Result<(), Fault> {
        self.check_room()?;
        let core = &self.0.core;
        let waiting_bytes = core.queue.reserved_bytes();
        if waiting_bytes == 0 {
            return Ok(());
        }
        let room = core.host.table().check_quota(command, waiting_bytes);
        room.inspect_err(|refusal| core.host.full_limits.note(refusal)).map_err(Fault::from)
    }
}
