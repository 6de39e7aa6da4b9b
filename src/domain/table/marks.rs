//! The high-water mark of a resource: what the protected side checks a fencing token against.

use super::{CommandResult, Table};
use crate::domain::ids::{Caller, Name, Token};
use crate::domain::limits::Feature;
use crate::domain::marks::Mark;
use crate::domain::outcome::Outcome;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;

impl Table {
    /// An equal token is accepted: its holder may write more than once.
    pub(super) fn raise_mark(&mut self, resource: Name, token: Token, caller: Caller) -> CommandResult {
        let now = self.header.now;
        self.check_mark(&resource, token, caller, now)?;
        let until = now.after_ms(self.header.limits.mark_idle_ms);
        self.marks.raise(resource, Mark { token, caller, until }, &mut self.usages);
        Ok(Outcome::MarkRaised { mark: token })
    }

    pub fn has_mark(&self, resource: &Name) -> bool {
        self.marks.get(resource).is_some()
    }

    pub(super) fn check_mark(
        &self,
        resource: &Name,
        token: Token,
        caller: Caller,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let limits = &self.header.limits;
        limits.check_name(resource)?;
        // A mark above all tokens would refuse every holder.
        if token.0 == 0 || token > self.last_token() {
            return Err(Refusal::TokenNotIssued);
        }
        match self.marks.get(resource) {
            Some(mark) if !mark.until.is_past(now) && mark.token > token => {
                Err(Refusal::TokenBelowMark { mark: mark.token })
            }
            Some(_) => Ok(()),
            None if self.marks.len() as u64 >= limits.marks_max => Err(Refusal::MarksFull { limit: limits.marks_max }),
            None => {
                let usage = Usage::of_mark(resource);
                let marks = if self.supports(Feature::ModeBounds) { usage.marks } else { 0 };
                self.check_usage(caller, Usage { marks, ..usage })
            }
        }
    }
}
