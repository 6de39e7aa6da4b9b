//! Leases: when one ends, and its renewal.

use super::{CommandResult, Table};
use crate::domain::command::Proof;
use crate::domain::ids::Name;
use crate::domain::outcome::Outcome;
use crate::domain::refusal::Refusal;
use crate::domain::time::Deadline;
use crate::mutants::planted;

impl Table {
    /// The end of a lease that begins now.
    pub(super) fn lease_end(&self, lease_ms: Option<u64>) -> Deadline {
        lease_ms.map_or(Deadline::NEVER, |lease_ms| {
            let lease_ms = lease_ms.max(1);
            Deadline::at(self.header.now.after_ms(planted!("lease-halved", lease_ms => lease_ms / 2)))
        })
    }

    /// The new lease may be shorter than what was left, but for as long as lookups of a leader may be relied on.
    pub(super) fn renew(&mut self, name: &Name, proof: &Proof, lease_ms: u64) -> CommandResult {
        self.header.limits.check_lease(Some(lease_ms))?;
        let hold = self.find_hold(name, proof)?;
        proof.check_names(name, hold)?;
        let token = hold.token;
        self.client_knows(name, token);
        let hold = self.locks.hold(name, token).ok_or(Refusal::WrongKey)?;
        if hold.deadline == Deadline::NEVER {
            return Err(Refusal::NoLease);
        }
        let deadline = self.lease_end(Some(lease_ms)).max(self.relied_on_until(name, token));
        let renewed = self.locks.change_hold(name, token, |hold| hold.deadline = deadline);
        renewed.map(|hold| Outcome::Renewed(hold.to_grant())).ok_or(Refusal::WrongKey)
    }
}
