//! The bodies of requests and answers.

use crate::domain::{Freeze, Name, Timestamp};
use crate::http::frozen::{covered, moment_after};
use crate::http::respond::seconds;
use serde::Serialize;
use utoipa::ToSchema;

/// What is to be frozen, and until when: `for_seconds` or `until`, one of them.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the fields that `request` reads")]
pub struct FreezeRequest {
    /// Why. Everybody who is refused is told.
    #[schema(min_length = 1, max_length = 256, example = "release 7 goes out, ticket 4411")]
    reason: String,
    /// How long it lasts, up to `locks.freeze_max`.
    #[schema(exclusive_minimum = 0, nullable = false, example = 3600.0)]
    for_seconds: Option<f64>,
    /// The moment at which it ends by itself, by the clock of the server that is asked; RFC 3339, in UTC.
    #[schema(nullable = false, example = "2026-11-30T06:00:00Z")]
    until: Option<String>,
    /// `name` (the usual): the lock of this name. `prefix`: all locks whose names start with the target. `everything`: all
    /// locks; the target is empty.
    #[schema(nullable = false, example = "prefix")]
    r#match: Option<String>,
    /// `drain` (the usual): the holds under it go on until they are released or expire. `break`: they are ended.
    #[schema(nullable = false, example = "drain")]
    holds: Option<String>,
}

/// Why it is thawed, and whether that of everything is; in the query or here, or left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the fields that `request` reads")]
pub struct ThawRequest {
    /// Written to the log with the caller's name.
    #[schema(max_length = 256, nullable = false, example = "the release is out")]
    reason: Option<String>,
    /// `everything`: the freeze of all locks is meant. Left out otherwise.
    #[schema(nullable = false, example = "everything")]
    r#match: Option<String>,
}

/// A freeze that has not ended, or, where it was thawed, as it was.
#[derive(Serialize, ToSchema)]
#[schema(as = Freeze)]
pub struct ShownFreeze {
    /// The name that is frozen, or what all frozen names start with.
    #[schema(example = "deploy/")]
    target: String,
    /// `name`, `prefix` or `everything`.
    #[schema(example = "prefix")]
    r#match: &'static str,
    /// The locks that it covers, in words.
    #[schema(example = "all locks whose names start with \"deploy/\"")]
    covers: String,
    /// `drain` or `break`.
    #[schema(example = "drain")]
    holds: &'static str,
    /// Locks are still looked at, some with each entry of the log, because this freeze or another has begun or ended. Until
    /// then a lock under a freeze that breaks holds may still be held, and who waits for one that has thawed may still wait.
    #[schema(example = false)]
    sweeping: bool,
    #[schema(example = "release 7 goes out, ticket 4411")]
    reason: String,
    frozen_for_seconds: f64,
    /// Until it ends by itself.
    #[schema(example = 3600.0)]
    remaining_seconds: f64,
    /// The same by the clock of the server that answers.
    #[schema(example = "2026-11-30T06:00:00Z")]
    until: String,
    /// The name of the credential that froze. Shown to admins of all that is frozen only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ops")]
    by: Option<String>,
}

/// One page of freezes, in the order of their targets.
#[derive(Serialize, ToSchema)]
#[schema(as = FreezeList)]
pub struct FreezeList {
    pub freezes: Vec<ShownFreeze>,
    /// Pass it as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

impl ShownFreeze {
    pub fn new(target: &Name, freeze: &Freeze, (now, sweeping): (Timestamp, bool), shows_actor: bool) -> ShownFreeze {
        let remaining = freeze.until.since(now);
        ShownFreeze {
            target: target.to_string(),
            r#match: freeze.covers.shown(target),
            covers: covered(freeze.covers, target),
            holds: freeze.holds.as_str(),
            sweeping,
            reason: freeze.reason.to_string(),
            frozen_for_seconds: seconds(now.since(freeze.since)),
            remaining_seconds: seconds(remaining),
            until: moment_after(remaining.as_millis() as u64),
            by: (shows_actor && !freeze.by.is_empty()).then(|| freeze.by.to_string()),
        }
    }
}
