//! Whether anything can be added: to the table, to the disk, and before the server stops.

use super::submitter::Submitter;
use crate::domain::Command;
use crate::engine::error::{EngineError, Fault};

impl Submitter {
    /// New holds and sessions need a server that stays, a disk with free space, and room in the table.
    pub(super) fn check_capacity(&self, command: &Command) -> Result<(), Fault> {
        if self.shutdown.has_begun() {
            return Err(EngineError::ShuttingDown.into());
        }
        self.health.check_writable()?;
        self.disk_space.check_free()?;
        let waiting_bytes = self.queue.reserved_bytes();
        if waiting_bytes == 0 {
            return Ok(());
        }
        let checked = self.host.table().check_quota(command, waiting_bytes);
        checked.inspect_err(|refusal| self.host.full_limits.note(refusal)).map_err(Fault::from)
    }
}
