//! Renew: the lease starts again from now.

use super::Table;
use crate::domain::command::Proof;
use crate::domain::ids::Name;
use crate::domain::outcome::Outcome;
use crate::domain::refusal::Refusal;
use crate::domain::time::Deadline;

impl Table {
    /// The new lease may be shorter than what was left.
    pub(super) fn renew(&mut self, name: &Name, proof: &Proof, lease_ms: u64) -> Outcome {
        if let Err(refusal) = self.header.limits.check_lease(Some(lease_ms)) {
            return Outcome::Refused(refusal);
        }
        let hold = match self.find_hold(name, proof) {
            Ok(hold) => hold,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let token = hold.token;
        if let Some(tracked) = hold.tracked() {
            // With an idempotency key several attempts may have been answered, and at least one was.
            let attempt = tracked.attempt.filter(|_| tracked.request.is_none());
            self.confirm_hold(name, token, attempt);
        }
        let deadline = Deadline::at(self.header.now.after_ms(lease_ms.max(1)));
        let mut has_lease = false;
        let renewed = self.locks.change_hold(name, token, |hold| {
            has_lease = hold.deadline != Deadline::NEVER;
            if has_lease {
                hold.deadline = deadline;
            }
        });
        match renewed {
            Some(hold) if has_lease => Outcome::Renewed(hold.to_grant()),
            Some(_) => Outcome::Refused(Refusal::NoLease),
            None => Outcome::Refused(Refusal::WrongKey),
        }
    }
}
