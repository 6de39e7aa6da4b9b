//! What clients are told of the freeze that keeps a lock from being granted: in every dialect the same, where it has room.

use crate::base::clock;
use crate::domain::{Covers, FrozenBy};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// An operator has frozen names: nothing new is granted under them until the end.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[schema(as = Frozen)]
pub struct Frozen {
    /// The name that is frozen, or what all frozen names start with.
    #[schema(example = "deploy/")]
    pub target: String,
    /// `name`, `prefix` or `everything`.
    #[schema(example = "prefix")]
    pub r#match: &'static str,
    #[schema(example = "release 7 goes out, ticket 4411")]
    pub reason: String,
    /// Until it ends by itself.
    #[schema(example = 3600.0)]
    pub remaining_seconds: f64,
    /// The same by the clock of the server that answers.
    #[schema(example = "2026-11-30T06:00:00Z")]
    pub until: String,
}

impl From<&FrozenBy> for Frozen {
    fn from(by: &FrozenBy) -> Frozen {
        Frozen {
            target: by.target.to_string(),
            r#match: by.covers.shown(&by.target),
            reason: by.reason.to_string(),
            remaining_seconds: by.remaining_ms as f64 / 1000.0,
            until: moment_after(by.remaining_ms),
        }
    }
}

impl Frozen {
    /// For an answer that has room for a text.
    pub fn text(&self) -> String {
        let Frozen { target, r#match, reason, until, .. } = self;
        match *r#match {
            "everything" => format!("everything is frozen until {until}: {reason}"),
            "prefix" => format!("all names that start with {target:?} are frozen until {until}: {reason}"),
            _ => format!("{target:?} is frozen until {until}: {reason}"),
        }
    }

    /// Whole seconds, rounded up.
    pub fn retry_after_seconds(&self) -> u32 {
        self.remaining_seconds.ceil().max(1.0) as u32
    }
}

/// The locks that a freeze of a target covers, in words.
pub fn covered(covers: Covers, target: &str) -> String {
    match covers {
        Covers::Name => format!("only the lock named {target:?}"),
        Covers::Prefix if target.is_empty() => "all locks".to_owned(),
        Covers::Prefix => format!("all locks whose names start with {target:?}"),
    }
}

/// So many milliseconds from now, by the wall clock, for people.
pub fn moment_after(remaining_ms: u64) -> String {
    let end = clock::unix_time().saturating_add(Duration::from_millis(remaining_ms));
    // The nearest second: an end that was given in whole seconds has moved by the few milliseconds that the freeze took.
    clock::rfc3339(end.saturating_add(Duration::from_millis(500)).as_secs())
}

/// The same text of a refusal.
pub fn text_of(by: &FrozenBy) -> String {
    Frozen::from(by).text()
}
