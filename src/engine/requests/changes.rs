//! Changes of a hold that go on with it: downgrade, upgrade, transfer, another value of a leader.

use super::holds::{Changed, PendingWait};
use super::submitter::{Submitter, unexpected};
use crate::domain::{Command, Grant, HoldKey, Name, Outcome, SessionId, Upgrade};
use crate::engine::command_queue::Answered;
use crate::engine::error::Fault;
use arcstr::ArcStr;

impl Submitter {
    pub async fn downgrade(&self, name: Name, session: Option<SessionId>, key: HoldKey) -> Result<Changed, Fault> {
        match self.run(Command::Downgrade { name: name.clone(), session, key }).await? {
            Outcome::Changed(grant) => Ok(self.changed(&name, &grant)),
            other => Err(unexpected(other)),
        }
    }

    /// The wait ends when this is dropped; the shared hold stays.
    pub async fn upgrade(&self, upgrade: Upgrade) -> Result<Changed, Fault> {
        let (name, attempt) = (upgrade.name.clone(), upgrade.attempt);
        let command = Command::Upgrade(Box::new(upgrade));
        self.check_capacity(&command)?;
        self.preflight(&command).await?;
        let receiver = self.submit(command)?;
        let pending = PendingWait::new(&self.queue, receiver, name.clone(), attempt);
        self.propose_if_standalone().await;
        let (guard, answer) = pending.answered().await;
        let answer = answer?;
        guard.delivered();
        match answer {
            Answered::Outcome(Outcome::Changed(grant)) | Answered::GrantedAfterWait { grant, .. } => {
                Ok(self.changed(&name, &grant))
            }
            Answered::Outcome(other) => Err(unexpected(other)),
        }
    }

    pub async fn transfer(
        &self,
        name: Name,
        session: Option<SessionId>,
        key: HoldKey,
        to: SessionId,
        new_key: HoldKey,
    ) -> Result<Changed, Fault> {
        match self.run(Command::Transfer { name: name.clone(), session, key, to, new_key }).await? {
            Outcome::Changed(grant) => Ok(self.changed(&name, &grant)),
            other => Err(unexpected(other)),
        }
    }

    /// The leader with this key says something else about itself.
    pub async fn set_value(
        &self,
        name: Name,
        session: Option<SessionId>,
        key: HoldKey,
        value: ArcStr,
    ) -> Result<Changed, Fault> {
        match self.run(Command::SetValue { name: name.clone(), session, key, value }).await? {
            Outcome::ValueSet(grant) => Ok(self.changed(&name, &grant)),
            other => Err(unexpected(other)),
        }
    }

    fn changed(&self, name: &Name, grant: &Grant) -> Changed {
        let now = self.clock.now();
        let end = self.host.table().end_of_hold(name, grant.key, now).or(grant.deadline);
        Changed { key: grant.key, token: grant.token, expires_in: end.map(|end| end.since(now)) }
    }
}
