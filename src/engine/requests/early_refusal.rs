//! Refusals without a log entry: of what would change nothing, and where nothing can be added to the table or the disk.

use super::submitter::Submitter;
use crate::domain::{Command, Refusal};
use crate::engine::error::{EngineError, Fault};
use crate::engine::reads::Consistency;

impl Submitter {
    /// Refuses what would be refused, without an entry, and as fresh as if it had one: the table that refuses has
    /// everything that was answered before this call, on any node. The session that asks counts as seen, as with an entry.
    pub(super) async fn refuse_early(&self, command: &Command) -> Result<(), Fault> {
        self.health.check_may_serve()?;
        match self.check_name_and_preflight(command)? {
            None => Ok(()),
            // In a box: otherwise every request would carry what only this path needs.
            Some(_) => Box::pin(self.refuse_after_barrier(command)).await,
        }
    }

    async fn refuse_after_barrier(&self, command: &Command) -> Result<(), Fault> {
        if let Some(session) = command.session() {
            self.touch_session(session).await?;
        }
        // Another node may have changed it meanwhile.
        self.reader.read_barrier(Consistency::Linearizable).await?;
        let Some(refusal) = self.preflight(command) else { return Ok(()) };
        let acquire = if let Command::Acquire(acquire) = command { Some(&**acquire) } else { None };
        self.host.note_early_refusal(&refusal, acquire);
        Err(refusal.into())
    }

    /// Both under one lock of the table.
    fn check_name_and_preflight(&self, command: &Command) -> Result<Option<Refusal>, Fault> {
        let table = self.host.table();
        if let Some(name) = command.name() {
            self.limits().check_name(name)?;
        }
        Ok(table.preflight(command, self.clock.now()))
    }

    fn preflight(&self, command: &Command) -> Option<Refusal> {
        self.host.table().preflight(command, self.clock.now())
    }
}

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
