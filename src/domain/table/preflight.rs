//! Preflight: the refusal of a command that would change nothing, known without a log entry.
//!
//! There is none where a command might do more than be refused: while something is due that the next entry expires
//! first, and for a request with an idempotency key whose earlier attempt may be on its way to the log.

use super::Table;
use crate::domain::command::{Acquire, Command, Proof};
use crate::domain::ids::{Caller, IdempotencyKey, Name, SessionId};
use crate::domain::limits::Feature;
use crate::domain::refusal::Refusal;
use crate::domain::time::{Deadline, Timestamp};

impl Table {
    /// Why this command would be refused at this moment of cluster time; `None` if it is not certain to be.
    pub fn preflight(&self, command: &Command, now: Timestamp) -> Option<Refusal> {
        // Before anything else: an older leader could not even read the command. A table that is still empty refuses too, and
        // is asked again when it has what the leader has.
        if let Err(refusal) = self.check_supported(command) {
            return Some(refusal);
        }
        if self.next_deadline().is_some_and(|deadline| deadline.is_past(now)) {
            return None;
        }
        if let Some(session) = command.session()
            && !self.sessions.is_live(session)
        {
            return Some(Refusal::SessionUnknown);
        }
        match command {
            Command::Acquire(_) | Command::OpenSession { .. } | Command::Freeze(_) if !self.is_opened() => None,
            Command::Acquire(acquire) => self.preflight_acquire(acquire, now),
            Command::OpenSession { session, idempotency_key, caller, .. } => {
                self.preflight_open(*session, *idempotency_key, *caller, now)
            }
            Command::CloseSession { session, .. } => {
                (!self.sessions.is_live(*session)).then_some(Refusal::SessionUnknown)
            }
            Command::Release { name, proof, .. } => {
                self.find_hold(name, proof).and_then(|hold| proof.check_names(name, hold)).err()
            }
            Command::ForceRelease { name, key, .. } => self.find_hold(name, &Proof::Key(*key)).err(),
            Command::Renew { name, proof, lease_ms, .. } => self.preflight_renew(name, proof, *lease_ms),
            Command::CancelWait { name, label } => {
                self.place_of_label(name, label).is_none().then_some(Refusal::NotWaiting)
            }
            Command::Downgrade { name, key, .. } => self.find_convertible(name, *key).err(),
            Command::Upgrade(upgrade) => self.plan_upgrade(upgrade, now).err(),
            Command::Transfer { name, key, to, .. } => self.check_transfer(name, *key, *to).err(),
            Command::Resize { name, size } => self.check_resize(name, *size).err(),
            Command::SetValue { name, key, value, .. } => self.check_value(name, *key, value).err(),
            Command::RaiseMark { resource, token, caller } => self.check_mark(resource, *token, *caller, now).err(),
            Command::Freeze(order) => self.check_freeze(order).err(),
            Command::Thaw { target } => self.freezes.get(target).is_none().then_some(Refusal::NoSuchFreeze),
            Command::Cancel { .. }
            | Command::ConfirmDelivery { .. }
            | Command::NodeUp { .. }
            | Command::NodeDown { .. }
            | Command::ForgetNode { .. }
            | Command::RaiseLevel { .. } => None,
        }
    }

    fn preflight_acquire(&self, acquire: &Acquire, now: Timestamp) -> Option<Refusal> {
        let key = acquire.idempotency_key.filter(|_| self.supports(Feature::Clusters));
        if let Some(key) = key.filter(|key| self.idempotency_keys.get(key.id).is_some()) {
            return self.preflight_retry(key, now);
        }
        if self.reentered(acquire).is_some() {
            return None;
        }
        let grantable = self.check_grantable(acquire).and_then(|()| self.check_idempotency_keys(key));
        let checked = grantable.and_then(|()| self.check_free(acquire, now));
        checked.err().filter(|refusal| match refusal {
            Refusal::Broken(_) => false,
            // A retry under the same key is given what the earlier attempt is granted.
            Refusal::IdempotencyKeysFull { .. }
            | Refusal::HoldsFull { .. }
            | Refusal::SessionHoldsFull { .. }
            | Refusal::QueueFull { .. }
            | Refusal::TableFull { .. }
            | Refusal::QuotaFull(_)
            | Refusal::ShareFull { .. } => true,
            _ => key.is_none(),
        })
    }

    fn preflight_open(
        &self,
        session: SessionId,
        key: Option<IdempotencyKey>,
        caller: Caller,
        now: Timestamp,
    ) -> Option<Refusal> {
        let key = key.filter(|_| self.supports(Feature::Clusters));
        if let Some(key) = key.filter(|key| self.idempotency_keys.get(key.id).is_some()) {
            return self.preflight_retry(key, now);
        }
        if self.sessions.get(session).is_some() {
            return Some(Refusal::SessionExists);
        }
        self.check_opening(key, caller).err()
    }

    /// Whether a leader has set the limits, by which most commands are refused.
    fn is_opened(&self) -> bool {
        self.level() > 0
    }

    /// Another request under a known key is refused. A retry of the key's own request keeps the key for longer, which
    /// takes an entry.
    fn preflight_retry(&self, key: IdempotencyKey, now: Timestamp) -> Option<Refusal> {
        let record = self.idempotency_keys.get(key.id)?;
        (record.body != key.body && !record.has_expired(now)).then_some(Refusal::RequestReused)
    }

    fn preflight_renew(&self, name: &Name, proof: &Proof, lease_ms: u64) -> Option<Refusal> {
        let lease = if self.is_opened() { self.header.limits.check_lease(Some(lease_ms)) } else { Ok(()) };
        let found = lease.and_then(|()| self.find_hold(name, proof));
        match found.and_then(|hold| proof.check_names(name, hold).map(|()| hold)) {
            // The table records that the client knows of a tracked hold, even if it has no lease.
            Ok(hold) => (hold.deadline == Deadline::NEVER && hold.tracked().is_none()).then_some(Refusal::NoLease),
            Err(refusal) => Some(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Dialect, HoldKey};

    #[test]
    fn unopened_table_refuses_no_acquire_and_no_session() {
        let name = Name::from("a");
        let acquire = Acquire { lease_ms: Some(1), ..Acquire::new(name, HoldKey([1; 16]), Dialect::LdlmRest) };
        let open = Command::OpenSession {
            session: SessionId([1; 16]),
            idle_timeout_ms: 1,
            idempotency_key: None,
            caller: Caller::default(),
        };
        for command in [Command::Acquire(Box::new(acquire)), open] {
            assert_eq!(Table::default().preflight(&command, Timestamp(1)), None, "{command:?}");
        }
    }
}
