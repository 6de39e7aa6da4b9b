//! Refusals from the table: what changes nothing costs no log entry and no flush.

use super::error::Fault;
use super::face::Engine;
use crate::domain::{Command, Outcome, Refusal};

impl Engine {
    /// Runs what may do something.
    pub(super) async fn carry_out(&self, command: Command) -> Result<Outcome, Fault> {
        self.check_foreseen(&command).await?;
        Ok(self.run(command).await?)
    }

    /// Refuses what would be refused, without an entry. As fresh as if it had one: whatever was answered before this
    /// call, on any node, is in the table that refuses. The session that asks was seen, as with an entry.
    pub(super) async fn check_foreseen(&self, command: &Command) -> Result<(), Fault> {
        let core = &self.0.core;
        core.check_standing()?;
        if let Some(name) = command.name() {
            self.limits().check_name(name)?;
        }
        match self.foreseen(command) {
            None => Ok(()),
            // In a box: what this way needs would otherwise be carried along by every request.
            Some(_) => Box::pin(self.refuse(command)).await,
        }
    }

    async fn refuse(&self, command: &Command) -> Result<(), Fault> {
        let core = &self.0.core;
        if let Some(session) = command.session() {
            self.touch_session(session).await?;
        }
        // It may have become otherwise through another node.
        self.read_barrier().await?;
        let Some(refusal) = self.foreseen(command) else { return Ok(()) };
        let acquire = if let Command::Acquire(acquire) = command { Some(&**acquire) } else { None };
        core.host.note_early_refusal(&refusal, acquire);
        Err(refusal.into())
    }

    fn foreseen(&self, command: &Command) -> Option<Refusal> {
        self.0.core.host.table().preflight(command, self.now())
    }
}
