//! Places in the queue of a lock that no request waits on: an owner label keeps its turn and asks again.

use super::submitter::{Submitter, unexpected};
use crate::domain::{Acquire, Command, Name, Outcome};
use crate::engine::error::Fault;
use std::sync::Arc;

impl Submitter {
    /// Says how many waiters are ahead, or `None` when the lock was free and is now held.
    pub async fn enqueue(&self, acquire: Acquire) -> Result<Option<u32>, Fault> {
        self.limits().check_acquire(&acquire)?;
        let command = Command::Acquire(Box::new(acquire));
        self.check_capacity(&command)?;
        match self.run(command).await? {
            Outcome::Enqueued { position } => Ok(Some(position)),
            Outcome::Acquired(_) => Ok(None),
            other => Err(unexpected(other)),
        }
    }

    pub async fn cancel_wait(&self, name: Name, label: Arc<str>) -> Result<(), Fault> {
        match self.run(Command::CancelWait { name, label }).await? {
            Outcome::Cancelled => Ok(()),
            other => Err(unexpected(other)),
        }
    }
}
