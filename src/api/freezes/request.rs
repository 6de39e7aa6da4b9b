//! What a request asks to freeze, checked field by field.

use crate::api::inspect::query::checked_name_in;
use crate::api::reason;
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

fn missing_target() -> Failure {
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
    let [why, for_seconds, until, covers, holds] =
        parse(body, &FIELDS, Trailing::Refused, app.settings.unknown_fields)?;
    let (target, covers) = covered(target, word(covers, "match")?.as_deref())?;
    let holds = match word(holds, "holds")?.as_deref() {
        None | Some("drain") => FreezeHolds::Drain,
        Some("break") => FreezeHolds::Break,
        Some(_) => return Err(Failure::field("holds", "holds must be drain or break")),
    };
    let why = word(why, "reason")?.unwrap_or_default();
    let Force { by, reason } = Force::new(by, reason::needed(&why)?);
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

/// What is thawed, and why. `match` and `reason` stand in the query or in the body, or are not given.
pub fn thaw(app: &App, target: Option<Name>, query: Query<'_>, body: &[u8]) -> Result<(Name, String), Failure> {
    static FIELDS: [FieldName; 2] = [FieldName::word("reason"), FieldName::word("match")];
    let [why, covers] = parse(body, &FIELDS, Trailing::Refused, app.settings.unknown_fields)?;
    let why = either(query, why, "reason")?.unwrap_or_default();
    let target = thawed(target, either(query, covers, "match")?.as_deref())?;
    reason::optional(&why).map(|reason| (target, reason.to_owned()))
}

fn either<'a>(query: Query<'a>, in_body: Value<'a>, field: &'static str) -> Result<Option<Cow<'a, str>>, Failure> {
    match query.text(field)? {
        Some(given) => Ok(Some(given)),
        None => in_body.text(field),
    }
}

/// Nobody should thaw everything because a variable of a script was empty.
fn thawed(target: Option<Name>, covers: Option<&str>) -> Result<Name, Failure> {
    let target = target.unwrap_or_default();
    match (covers, target.is_empty()) {
        (None, false) | (Some("everything"), true) => Ok(target),
        (None, true) => {
            let detail = "target must be given: to thaw the freeze of everything, set match to everything";
            Err(Failure::field("target", detail))
        }
        (Some("everything"), false) => {
            Err(Failure::field("match", "match is everything, so that there must be no target"))
        }
        (Some(_), _) => Err(Failure::field("match", "match must be everything, or be left out")),
    }
}
