//! What a command needs: the feature level that can carry it out, and the format that can say it.

use super::codec::Format;
use super::command::{Command, Proof, Wait};
use super::ids::{Caller, Dialect};
use super::limits::{Feature, Limits};
use super::terms::SHARED;

impl Command {
    /// The newest feature that a table must have to carry it out; `None` if every table can.
    pub fn needed_feature(&self) -> Option<Feature> {
        let of_dialect = self.dialect().and_then(Dialect::needed_feature);
        let of_command = || match self {
            Command::Freeze(_) | Command::Thaw { .. } => Some(Feature::Freezes),
            command => command.needs_modes().then_some(Feature::Modes),
        };
        of_dialect.or_else(of_command)
    }

    /// The dialect that it names.
    fn dialect(&self) -> Option<Dialect> {
        match self {
            Command::Acquire(acquire) => Some(acquire.dialect),
            Command::Release { proof, .. } | Command::Renew { proof, .. } => match proof {
                Proof::TakenBy(dialect) => Some(*dialect),
                Proof::Key(_) | Proof::Label { .. } | Proof::OfNames { .. } => None,
            },
            _ => None,
        }
    }

    /// Whether only tables at the level of modes can carry it out.
    fn needs_modes(&self) -> bool {
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
        self.dialect().map_or(Format::Clusters, Dialect::format).max(self.format_besides_dialect())
    }

    fn format_besides_dialect(&self) -> Format {
        match self {
            Command::CloseSession { force: Some(_), .. } | Command::RaiseLevel { quotas: Some(_), .. } => {
                return Format::Quotas;
            }
            Command::Freeze(_) | Command::Thaw { .. } => return Format::Freezes,
            Command::RaiseLevel { limits: Some(limits), .. } if limits.format() >= Format::Freezes => {
                return limits.format();
            }
            _ => {}
        }
        let is_guarded = |wait: &Option<Wait>| matches!(wait, Some(Wait::Guarded { .. }));
        let is_new = match self {
            Command::Acquire(acquire) => acquire.terms.is_some() || is_guarded(&acquire.wait),
            Command::RaiseLevel { limits, .. } => limits.is_some(),
            command => command.needs_modes(),
        };
        match self.caller() {
            _ if self.has_history() => Format::History,
            _ if is_new => Format::Modes,
            Caller::NOBODY => Format::Clusters,
            _ => Format::Callers,
        }
    }

    /// Whether it says something that only tables with a history keep.
    fn has_history(&self) -> bool {
        match self {
            Command::ForceRelease { force, .. } => force.is_some(),
            Command::RaiseLevel { limits: Some(limits), .. } => limits.format() >= Format::History,
            _ => false,
        }
    }

    /// Drops what nodes of a table at this level may not be able to read, and do not need.
    pub(super) fn limit_to_level(&mut self, level: u32) {
        if level < Feature::Callers as u32 {
            self.forget_caller();
        }
        match self {
            Command::ForceRelease { force, .. } if level < Feature::History as u32 => *force = None,
            Command::CloseSession { force, .. } => *force = None,
            Command::RaiseLevel { quotas, .. } => *quotas = None,
            _ => {}
        }
        if let Command::Acquire(acquire) = self
            && level < Feature::Modes as u32
            && let Some(Wait::Guarded { timeout_ms }) = acquire.wait
        {
            acquire.wait = Some(Wait::Attached { timeout_ms });
        }
    }
}

impl Limits {
    /// The oldest format that can say them.
    pub(super) fn format(&self) -> Format {
        match self.newest_feature() {
            Some(Feature::Freezes) => Format::Freezes,
            Some(Feature::History) => Format::History,
            Some(Feature::Modes) => Format::Modes,
            Some(Feature::Callers) => Format::Callers,
            _ => Format::Clusters,
        }
    }
}

impl Dialect {
    fn needed_feature(self) -> Option<Feature> {
        matches!(self, Dialect::Terraform | Dialect::Redis).then_some(Feature::MoreDialects)
    }

    /// The oldest format that has its byte.
    pub(super) fn format(self) -> Format {
        self.needed_feature().map_or(Format::SingleNode, |_| Format::MoreDialects)
    }
}
