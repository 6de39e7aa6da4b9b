//! What is frozen and thawed in the console.

use crate::access::Identity;
use crate::base::clock;
use crate::domain::view::LockFilter;
use crate::domain::{Covers, Field, Force, Freeze, FreezeHolds, FreezeOrder, Limits, LockOrder, Name, Timestamp};
use crate::engine::PageLimit;
use crate::http::administration;
use crate::http::auth::{may_break, may_freeze};
use crate::http::by_hand::Actor;
use crate::http::{AppState, Code, Failure};
use crate::status::acts::Target;
use crate::status::freezes::Under;
use std::time::Duration;

/// The names that a confirmation shows of the locks that are held.
const NAMES_SHOWN: PageLimit = PageLimit { rows: 8, bytes: 16 << 10 };

/// What a form asks to freeze, still without its reason. Refuses whom the right is missing.
pub fn order(limits: &Limits, who: &Identity, asked: &Target) -> Result<FreezeOrder, Failure> {
    let (target, covers) = covered(asked)?;
    may_freeze(who, "freeze", &target)?;
    limits.check_name(&target).map_err(|refusal| Failure::of(refusal.into()))?;
    let holds = match &*asked.holds {
        "drain" => FreezeHolds::Drain,
        "break" => FreezeHolds::Break,
        _ => return Err(Failure::field("holds", "holds must be drain or break")),
    };
    if holds == FreezeHolds::Break {
        may_break(who)?;
    }
    let (field, for_ms) = length(asked)?;
    if for_ms > limits.freeze_ms_max {
        let seconds = limits.freeze_ms_max / 1_000;
        let detail = format!("a freeze lasts {seconds} seconds at most");
        return Err(Failure::limit(field, seconds, detail).set_by(Field::FreezeTime.config_key()));
    }
    let Force { by, reason } = Force::new(&who.name, "");
    Ok(FreezeOrder { target, covers, holds, for_ms, reason, by })
}

/// How many milliseconds it lasts, with the field that says so: `until` where it is filled in, else `for`.
fn length(asked: &Target) -> Result<(&'static str, u64), Failure> {
    if asked.until.is_empty() {
        let seconds = asked.seconds.parse::<u64>().ok().filter(|seconds| *seconds > 0);
        let seconds = seconds.ok_or_else(|| Failure::field("for", "for must be a number of seconds"))?;
        return Ok(("for", seconds.saturating_mul(1_000)));
    }
    let expected = "until must be a time in UTC, such as 2026-11-30T06:00";
    let end = moment(&asked.until).ok_or_else(|| Failure::field("until", expected))?;
    let left = end.checked_sub(clock::unix_time()).filter(|left| !left.is_zero());
    let past = || Failure::field("until", "until must be in the future, by the clock of this server and in UTC");
    left.ok_or_else(past).map(|left| ("until", left.as_millis().max(1) as u64))
}

/// What a browser sends of a field for a date and a time, which has no zone, and what a person writes: taken as UTC.
fn moment(text: &str) -> Option<Duration> {
    let text = text.trim().trim_end_matches('Z').replacen(' ', "T", 1);
    let seconds = if text.len() == "2026-11-30T06:00".len() { ":00" } else { "" };
    clock::parse_rfc3339(&format!("{text}{seconds}Z")).map(Duration::from_secs)
}

/// Nobody freezes everything because a field stayed empty.
fn covered(asked: &Target) -> Result<(Name, Covers), Failure> {
    let name = Name::from(&*asked.name);
    match (&*asked.covers, name.is_empty()) {
        ("everything", true) => Ok((name, Covers::Prefix)),
        ("everything", false) => Err(Failure::field("name", "leave the name empty to freeze everything")),
        ("name" | "prefix", true) => Err(Failure::field("name", "a name is needed, unless everything is to be frozen")),
        ("name", false) => Ok((name, Covers::Name)),
        ("prefix", false) => Ok((name, Covers::Prefix)),
        _ => Err(Failure::field("match", "match must be name, prefix or everything")),
    }
}

/// What somebody holds of it, and the freeze whose place it takes. Refuses what is frozen otherwise.
pub async fn under(app: &AppState, order: &FreezeOrder) -> Result<Under, Failure> {
    let replaced = administration::replaced(app, order).await?;
    if order.covers == Covers::Name {
        let (lock, _) = app.engine.lock(&order.target).await.map_err(Failure::of)?;
        let held = lock.is_some_and(|lock| !lock.holds.is_empty());
        return Ok(Under { held: held.into(), first: Vec::new(), replaced });
    }
    let filter = LockFilter { prefixes: vec![order.target.to_string()], held: Some(true), ..LockFilter::default() };
    let page = app.engine.ranked_locks(filter, LockOrder::Oldest, None, NAMES_SHOWN).await.map_err(Failure::of)?;
    let first = page.locks.into_iter().map(|lock| lock.name).collect();
    Ok(Under { held: page.matching, first, replaced })
}

/// The freeze of this target, for who may end it.
pub async fn frozen(app: &AppState, who: &Identity, target: &Name) -> Result<(Freeze, Timestamp), Failure> {
    may_freeze(who, "thaw", target)?;
    let (freezes, now) = app.engine.freezes().await.map_err(Failure::of)?;
    let freeze = freezes.get(target, now).cloned();
    freeze.ok_or_else(|| Code::NoSuchFreeze.into()).map(|freeze| (freeze, now))
}

/// Freezes, and says what was done.
pub async fn freeze(app: &AppState, actor: Actor, order: &FreezeOrder) -> Result<String, Failure> {
    let Force { by, reason } = Force::new(&actor.by.who, &actor.reason);
    let order = FreezeOrder { reason, by, ..order.clone() };
    let is_everything = order.target.is_empty();
    let freeze = administration::freeze(app, actor.by, order).await?.map_err(Failure::of)?;
    let what = match freeze.covers {
        Covers::Name => "the lock of this name alone",
        Covers::Prefix if is_everything => "every lock",
        Covers::Prefix => "all locks whose names start with it",
    };
    let holds = match freeze.holds {
        FreezeHolds::Drain => "Those who hold a lock of it may finish.",
        FreezeHolds::Break if app.engine.is_sweeping() => "The holds of it are being ended, a thousand at a time.",
        FreezeHolds::Break => "Those who held a lock of it have lost it.",
    };
    Ok(format!("It is frozen: {what}. {holds}"))
}

/// Thaws, and says what was done.
pub async fn thaw(app: &AppState, actor: Actor, target: &Name) -> Result<String, Failure> {
    administration::thaw(app, actor.by, target, &actor.reason).await?.map_err(Failure::of)?;
    Ok("It is thawed. Those who wait get their locks in their turns.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_is_read_as_browsers_and_people_write_it() {
        let second = |text| moment(text).map(|end| end.as_secs());
        let end = second("2027-01-31T12:30");
        assert_eq!(end, Some(1_801_398_600));
        for same in ["2027-01-31 12:30", "2027-01-31T12:30:00", " 2027-01-31T12:30Z "] {
            assert_eq!(second(same), end, "{same}");
        }
        for wrong in ["", "2027-01-31", "12:30", "2027-01-31T12:30+01:00", "31.01.2027 12:30", "2027-02-30T12:30"] {
            assert_eq!(moment(wrong), None, "{wrong}");
        }
    }
}
