//! What a request asks to freeze, checked field by field.

use crate::api::inspect::query::checked_name_in;
use crate::base::clock;
use crate::domain::{Covers, Field, Force, FreezeHolds, FreezeOrder, Name};
use crate::http::json_object::{FieldName, Trailing, Value, parse};
use crate::http::query::{Captured, capture};
use crate::http::seconds::DurationField;
use crate::http::{App, Failure, Query};
use std::borrow::Cow;
use std::time::Duration;

/// The target of the request: in the path, or in the query, where an empty one must be given as such.
pub fn target_in_path(app: &App, captured: &Captured) -> Result<Name, Failure> {
    checked_name_in(app, "target", &capture(captured, "target")?)
}

/// `None` where the query names none.
pub fn target_in_query(app: &App, query: Query<'_>) -> Result<Option<Name>, Failure> {
    query.text("target")?.map(|target| checked_name_in(app, "target", &target)).transpose()
}

pub fn missing_target() -> Failure {
    Failure::field("target", "target must be given in the query")
}

/// The order that `body` gives. Without a target it has to say that it means everything.
pub fn order(app: &App, target: Option<Name>, body: &[u8], by: &str) -> Result<FreezeOrder, Failure> {
    static FIELDS: [FieldName; 5] = [
        FieldName::word("reason"),
        FieldName { name: "for_seconds", alias: "forSeconds" },
        FieldName::word("until"),
        FieldName::word("match"),
        FieldName::word("holds"),
    ];
    let [reason, for_seconds, until, covers, holds] =
        parse(body, &FIELDS, Trailing::Refused, app.settings.unknown_fields)?;
    let (target, covers) = covered(target, word(covers, "match")?.as_deref())?;
    let holds = match word(holds, "holds")?.as_deref() {
        None | Some("drain") => FreezeHolds::Drain,
        Some("break") => FreezeHolds::Break,
        Some(_) => return Err(Failure::field("holds", "holds must be drain or break")),
    };
    let reason = word(reason, "reason")?.unwrap_or_default();
    let Force { by, reason } = Force::new(by, reason_within(&reason, 1)?);
    let for_ms = duration_ms(app, for_seconds.number("for_seconds")?, word(until, "until")?.as_deref())?;
    Ok(FreezeOrder { target, covers, holds, for_ms, reason, by })
}

fn word<'a>(value: Value<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Failure> {
    value.text(field)
}

/// An empty target is everything, which nobody should freeze because a variable of a script was empty.
fn covered(target: Option<Name>, covers: Option<&str>) -> Result<(Name, Covers), Failure> {
    match (target, covers) {
        (None, Some("everything")) => Ok((Name::new(), Covers::Prefix)),
        (Some(target), Some("everything")) if target.is_empty() => Ok((target, Covers::Prefix)),
        (Some(_), Some("everything")) => {
            Err(Failure::field("match", "match is everything, so that there must be no target"))
        }
        (None, _) => Err(missing_target()),
        (Some(target), None | Some("name" | "prefix")) if target.is_empty() => {
            Err(Failure::field("target", "target must not be empty: to freeze all locks, set match to everything"))
        }
        (Some(target), None | Some("name")) => Ok((target, Covers::Name)),
        (Some(target), Some("prefix")) => Ok((target, Covers::Prefix)),
        (Some(_), Some(_)) => Err(Failure::field("match", "match must be name, prefix or everything")),
    }
}

/// Without the space around it.
pub fn reason_within(reason: &str, bytes_min: usize) -> Result<&str, Failure> {
    let reason = reason.trim();
    if (bytes_min..=Force::TEXT_BYTES_MAX).contains(&reason.len()) {
        return Ok(reason);
    }
    let bytes_max = Force::TEXT_BYTES_MAX;
    let detail = format!("reason must have {bytes_min} to {bytes_max} bytes");
    Err(Failure::field("reason", detail).with_limit(bytes_max as u64))
}

fn duration_ms(app: &App, for_seconds: Option<f64>, until: Option<&str>) -> Result<u64, Failure> {
    let (limit_ms, config_key) = (app.engine.limits().freeze_ms_max, Field::FreezeTime.config_key());
    let length = DurationField { name: "for_seconds", zero: false, limit_ms, config_key };
    match (for_seconds, until) {
        (Some(seconds), None) => length.ms(seconds),
        (None, Some(until)) => {
            let example = "2026-11-30T06:00:00Z";
            let end = clock::parse_rfc3339(until).map(Duration::from_secs).ok_or_else(|| {
                Failure::field("until", format!("until must be a time in UTC as RFC 3339 writes it, such as {example}"))
            })?;
            let left = end.checked_sub(clock::unix_time()).filter(|left| *left > Duration::ZERO).ok_or_else(|| {
                Failure::field("until", "until must be in the future, by the clock of the server that is asked")
            })?;
            let length = DurationField { name: "the time up to until", ..length };
            length.ms(left.as_secs_f64()).map_err(|failure| Failure { field: Some("until"), ..failure })
        }
        (Some(_), Some(_)) => {
            Err(Failure::field("until", "for_seconds and until exclude each other: give one of them"))
        }
        (None, None) => Err(Failure::field("for_seconds", "a freeze must have an end: give for_seconds or until")),
    }
}

/// Why a freeze is ended: in the query or in the body, or not given.
pub fn thaw_reason(app: &App, query: Query<'_>, body: &[u8]) -> Result<String, Failure> {
    static FIELDS: [FieldName; 1] = [FieldName::word("reason")];
    let [in_body] = parse(body, &FIELDS, Trailing::Refused, app.settings.unknown_fields)?;
    let given = match query.text("reason")? {
        Some(reason) => Some(reason),
        None => in_body.text("reason")?,
    };
    reason_within(&given.unwrap_or_default(), 0).map(str::to_owned)
}
