//! Changes of what is no hold: the size of a lock, the mark of a resource, freezes.

use super::submitter::{Submitter, unexpected};
use crate::domain::{Caller, Command, Freeze, FreezeOrder, Name, Outcome, Token};
use crate::engine::error::Fault;

impl Submitter {
    pub async fn resize(&self, name: Name, size: u32) -> Result<u32, Fault> {
        match self.run(Command::Resize { name, size }).await? {
            Outcome::Resized { size } => Ok(size),
            other => Err(unexpected(other)),
        }
    }

    pub async fn freeze(&self, order: FreezeOrder) -> Result<Freeze, Fault> {
        match self.run(Command::Freeze(Box::new(order))).await? {
            Outcome::Frozen(freeze) => Ok(*freeze),
            other => Err(unexpected(other)),
        }
    }

    /// The freeze that has ended.
    pub async fn thaw(&self, target: Name) -> Result<Freeze, Fault> {
        match self.run(Command::Thaw { target }).await? {
            Outcome::Thawed(freeze) => Ok(*freeze),
            other => Err(unexpected(other)),
        }
    }

    /// Raises the high-water mark of a resource; the mark as it is then.
    pub async fn raise_mark(&self, resource: Name, token: Token, caller: Caller) -> Result<Token, Fault> {
        let is_new = !self.host.table().has_mark(&resource);
        let command = Command::RaiseMark { resource, token, caller };
        // A holder goes on writing where nothing new is taken in.
        if is_new {
            self.check_capacity(&command)?;
        }
        match self.run(command).await? {
            Outcome::MarkRaised { mark } => Ok(mark),
            other => Err(unexpected(other)),
        }
    }
}
