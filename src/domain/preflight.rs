//! Which commands would be refused and change nothing, seen without applying them: such a refusal needs no log entry.
//!
//! Nothing is foreseen where a command might do more than be refused: while something is due that the next entry ends
//! first, and of a request with an idempotency key, whose earlier attempt may be on its way to the log.

use super::caller::Caller;
use super::command::{Acquire, Command, Proof};
use super::idempotency::Made;
use super::ids::{IdempotencyKey, Name, SessionId};
use super::lock::Owner;
use super::outcome::Refusal;
use super::table::Table;
use super::time::Timestamp;

impl Table {
    /// Why this command would be refused at this moment of cluster time; `None` where that is not sure.
    pub fn preflight(&self, command: &Command, now: Timestamp) -> Option<Refusal> {
        if self.next_deadline().is_some_and(|deadline| deadline.is_past(now)) {
            return None;
        }
        if let Some(session) = command.session()
            && !self.is_live(session)
        {
            return Some(Refusal::SessionUnknown);
        }
        match command {
            Command::Acquire(acquire) => self.foresee_acquire(acquire, now),
            Command::OpenSession { session, idempotency_key: request, caller, .. } => {
                self.foresee_open(*session, *request, *caller, now)
            }
            Command::CloseSession { session } => (!self.is_live(*session)).then_some(Refusal::SessionUnknown),
            Command::Release { name, proof, .. } => self.find_hold(name, proof).err(),
            Command::ForceRelease { name, key } => self.find_by_key(name, *key).err(),
            Command::Renew { name, proof, lease_ms, .. } => self.foresee_renew(name, proof, *lease_ms),
            Command::CancelWait { name, label } => self.own_place(name, label).is_none().then_some(Refusal::NotWaiting),
            Command::Cancel { .. }
            | Command::ConfirmDelivery { .. }
            | Command::NodeUp { .. }
            | Command::NodeDown { .. }
            | Command::ForgetNode { .. }
            | Command::RaiseLevel { .. } => None,
        }
    }

    fn foresee_acquire(&self, acquire: &Acquire, now: Timestamp) -> Option<Refusal> {
        let request = acquire.idempotency_key.filter(|_| self.knows_clusters());
        if let Some(request) = request.filter(|request| self.requests.get(&request.id).is_some()) {
            return self.foresee_again(request, now);
        }
        if self.reenters(acquire) {
            return None;
        }
        let grantable = self.check_grantable(acquire).and_then(|()| self.check_requests(request));
        let checked = grantable.and_then(|()| self.check_free(acquire, now));
        checked.err().filter(|refusal| match refusal {
            Refusal::Broken(_) => false,
            // Asking again under the same key gives what the earlier attempt is granted.
            Refusal::RequestsFull { .. }
            | Refusal::HoldsFull { .. }
            | Refusal::SessionHoldsFull { .. }
            | Refusal::QueueFull { .. }
            | Refusal::TableFull { .. }
            | Refusal::ShareFull { .. } => true,
            _ => request.is_none(),
        })
    }

    fn foresee_open(
        &self,
        session: SessionId,
        request: Option<IdempotencyKey>,
        caller: Caller,
        now: Timestamp,
    ) -> Option<Refusal> {
        let request = request.filter(|_| self.knows_clusters());
        if let Some(request) = request.filter(|request| self.requests.get(&request.id).is_some()) {
            return self.foresee_again(request, now);
        }
        if self.sessions.get(&session).is_some() {
            return Some(Refusal::SessionExists);
        }
        self.check_opening(request, caller).err()
    }

    /// Another request under a key that is kept. What the key's own request is told also keeps the key for longer,
    /// which takes an entry.
    fn foresee_again(&self, request: IdempotencyKey, now: Timestamp) -> Option<Refusal> {
        let record = self.requests.get(&request.id)?;
        let is_over = record.made == Made::Ended && record.until.is_past(now);
        (record.body != request.body && !is_over).then_some(Refusal::RequestReused)
    }

    fn foresee_renew(&self, name: &Name, proof: &Proof, lease_ms: u64) -> Option<Refusal> {
        let checked = self.limits.check_lease(Some(lease_ms)).and_then(|()| self.find_hold(name, proof));
        let token = match checked {
            Ok(token) => token,
            Err(refusal) => return Some(refusal),
        };
        let hold = self.locks.get(name)?.holds.iter().find(|hold| hold.token == token)?;
        // With a claim its holder shows that it knows of it, which the table notes.
        (hold.lease().is_none() && hold.claim.is_none()).then_some(Refusal::NoLease)
    }

    /// Whether the same owner label has a hold or a place that asking again would renew.
    fn reenters(&self, acquire: &Acquire) -> bool {
        let Some(label) = acquire.label.as_ref().filter(|_| acquire.reentrant && acquire.session.is_none()) else {
            return false;
        };
        let owner = Owner::Label(label.clone());
        self.locks.get(&acquire.name).is_some_and(|lock| {
            lock.holds.iter().any(|hold| hold.owner == owner)
                || (acquire.wait.is_some() && lock.queue.iter().any(|(_, waiter)| waiter.owner == owner))
        })
    }
}
