//! Early refusals: what would change nothing is refused from the table, without a log entry and a flush.

use super::submitter::Submitter;
use crate::domain::{Command, Refusal};
use crate::engine::error::Fault;
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
