//! What a command needs: the feature level that can carry it out, and the format that can say it.

use super::codec::Format;
use super::command::{Command, Proof, Wait};
use super::ids::Caller;
use super::limits::Feature;
use super::terms::SHARED;

impl Command {
    /// Whether only tables at the level of modes can carry it out.
    pub fn needs_modes(&self) -> bool {
        match self {
            Command::Acquire(acquire) => acquire.terms.is_some() || acquire.size == SHARED,
            Command::Release { proof, .. } | Command::Renew { proof, .. } => matches!(proof, Proof::OfNames { .. }),
            Command::Downgrade { .. }
            | Command::Upgrade(_)
            | Command::Transfer { .. }
            | Command::Resize { .. }
            | Command::SetValue { .. }
            | Command::RaiseMark { .. } => true,
            _ => false,
        }
    }

    /// The oldest format that can say all of it.
    pub(super) fn format(&self) -> Format {
        let is_guarded = |wait: &Option<Wait>| matches!(wait, Some(Wait::Guarded { .. }));
        let is_new = match self {
            Command::Acquire(acquire) => acquire.terms.is_some() || is_guarded(&acquire.wait),
            Command::RaiseLevel { limits, .. } => limits.is_some(),
            command => command.needs_modes(),
        };
        match self.caller() {
            _ if is_new => Format::Modes,
            Caller::NOBODY => Format::Clusters,
            _ => Format::Callers,
        }
    }

    /// Drops what nodes of a table at this level may not be able to read, and do not need.
    pub(super) fn limit_to_level(&mut self, level: u32) {
        if level < Feature::Callers as u32 {
            self.forget_caller();
        }
        if let Command::Acquire(acquire) = self
            && level < Feature::Modes as u32
            && let Some(Wait::Guarded { timeout_ms }) = acquire.wait
        {
            acquire.wait = Some(Wait::Attached { timeout_ms });
        }
    }
}
