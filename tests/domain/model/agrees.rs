//! The table and the naive model agree on every outcome, every event and every view.

use super::driver::Played;
use super::reference::{Past, Reference, Session, Waiter};
use super::script::{NAMES, SESSIONS, steps};
use super::{CASES, for_all_scripts_of};
use crate::domain::kit::session;
use latchd::domain::view::{Counts, HoldView};
use latchd::domain::{Body, Name, Timestamp};

#[test]
fn table_agrees_with_naive_model() {
    for_all_scripts_of(4 * CASES, steps(), || {
        let mut reference = Reference::default();
        move |played| {
            reference.apply(played)?;
            compare_locks(&reference, played)?;
            compare_waiters(&reference, played)?;
            compare_history(&reference, played)?;
            compare_sessions(&reference, played)?;
            nobody_is_left_waiting(&reference, played)?;
            compare_freezes(&reference, played)?;
            compare_nodes(&reference, played)?;
            compare_numbers(&reference, played)
        }
    });
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, actual: T) -> Result<(), String> {
    if expected == actual {
        Ok(())
    } else {
        Err(format!("{what}:\n    expected {expected:?}\n    but was  {actual:?}"))
    }
}

/// Views leave out what has ended; the start of a leadership does not remove it yet.
fn compare_locks(reference: &Reference, played: &Played) -> Result<(), String> {
    let now = reference.now;
    for name in NAMES.map(Name::from) {
        let holds: Vec<_> =
            reference.holds_of(&name).filter(|hold| hold.deadline.is_none_or(|deadline| now <= deadline)).collect();
        let waiters = reference.waiters_of(&name).filter(|waiter| now <= waiter.deadline).count() as u32;
        let view = played.table.lock_view(&name, now);
        let delayed = reference.delays.get(&name).map(|(until, _)| *until).filter(|until| now <= *until);
        same("shown at all", !holds.is_empty() || waiters > 0 || delayed.is_some(), view.is_some())?;
        let Some(view) = view else { continue };
        same("size", reference.sizes.get(&name), Some(&view.size))?;
        same("waiters", waiters, view.waiters)?;
        same("delay", delayed, view.delayed_until)?;
        let expected: Vec<String> = holds
            .iter()
            .map(|hold| (*hold).clone())
            .map(|hold| {
                shown(&HoldView {
                    ends: reference.end_of(&hold),
                    key: hold.key,
                    token: hold.token,
                    dialect: hold.dialect,
                    session: hold.owner.session,
                    label: hold.owner.label,
                    credential: 0,
                    since: hold.since,
                    deadline: hold.deadline,
                    metadata: hold.metadata,
                    terms: None,
                })
            })
            .collect();
        let claims = holds.iter().map(|hold| hold.claim.terms()).collect();
        let terms =
            view.holds.iter().map(|hold| hold.terms.as_deref().cloned().unwrap_or_default()).collect::<Vec<_>>();
        same("terms", claims, terms)?;
        same("holds", expected, view.holds.iter().map(shown).collect())?;
    }
    Ok(())
}

fn compare_waiters(reference: &Reference, played: &Played) -> Result<(), String> {
    let now = reference.now;
    for name in NAMES.map(Name::from) {
        let line = reference.line().into_iter();
        let waiting: Vec<_> = line.filter(|waiter| waiter.claim.has(&name) && now <= waiter.deadline).collect();
        // Orphaned waiters do not count as ahead.
        let ahead = |at: usize| waiting[..at].iter().filter(|waiter| !waiter.orphaned).count() as u32;
        let shown =
            |at: usize, waiter: &&Waiter| (waiter.key.0, waiter.since, waiter.deadline, waiter.priority, ahead(at));
        let expected: Vec<_> = waiting.iter().enumerate().map(|(at, waiter)| shown(at, waiter)).collect();
        let views = played.table.waiters_view(&name, now);
        let actual = views.iter().map(|view| (view.key.0, view.since, view.deadline, view.priority, view.position));
        same("waiters in line", expected, actual.collect())?;
        let claims = waiting.iter().map(|waiter| (waiter.upgrades.is_some(), waiter.claim.terms())).collect();
        let terms = views.iter().map(|view| (view.upgrades, view.terms.as_deref().cloned().unwrap_or_default()));
        same("what is waited for", claims, terms.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// After a batch, nobody waits for what is free.
fn nobody_is_left_waiting(reference: &Reference, played: &Played) -> Result<(), String> {
    let mut waiters = reference.waiters.iter().filter(|waiter| !waiter.orphaned);
    match waiters.find(|waiter| reference.can_be_granted(waiter)) {
        Some(left) if matches!(played.entry.body, Body::Batch { .. }) && played.applied.is_ok() => {
            Err(format!("{:?} could be granted, and waits", left.claim.places))
        }
        _ => Ok(()),
    }
}

fn compare_freezes(reference: &Reference, played: &Played) -> Result<(), String> {
    let (view, now) = (played.table.freezes(), reference.now);
    let actual: Vec<_> = view.after(None, now).collect();
    same("freezes", reference.freezes.iter().filter(|(_, freeze)| now <= freeze.until).collect(), actual)?;
    NAMES.map(Name::from).iter().try_for_each(|name| {
        let expected = reference.frozen_by(std::slice::from_ref(name), false);
        same("why it is frozen", expected, played.table.freeze_of(name, now))
    })
}

fn compare_nodes(reference: &Reference, played: &Played) -> Result<(), String> {
    let expected: Vec<_> = reference
        .nodes
        .iter()
        .map(|(id, node)| (*id, node.run, node.last_sequence, node.up, node.store, node.level))
        .collect();
    let actual = played.table.nodes().iter();
    let actual = actual.map(|(id, node)| (*id, node.incarnation, node.last_sequence, node.up, node.store, node.level));
    same("nodes", expected, actual.collect())?;
    let of_table = (played.table.level(), played.table.confirms_deliveries());
    same("level", (reference.level, reference.confirms()), of_table)
}

/// Shows the whole key, which its `Debug` hides.
fn shown(hold: &HoldView) -> String {
    let plain = HoldView { terms: None, credential: 0, ..hold.clone() };
    format!("{} {plain:?}", hold.key)
}

fn compare_history(reference: &Reference, played: &Played) -> Result<(), String> {
    for name in NAMES.map(Name::from) {
        let actual = played.table.history(&name).map(Past::of).collect::<Vec<_>>();
        same("history", reference.history(&name), actual)?;
    }
    Ok(())
}

fn compare_sessions(reference: &Reference, played: &Played) -> Result<(), String> {
    for id in (0..SESSIONS).map(session) {
        let expected = reference.sessions.get(&id).map(|session| {
            let deadline = (reference.waits_of(id) == 0).then(|| session.seen.after_ms(session.idle_timeout_ms));
            let (holds, waits) = reference.counts(Some(id));
            (session.idle_timeout_ms, deadline, holds as u32, waits as u32)
        });
        let actual = played.table.session_view(id);
        let actual = actual.map(|view| (view.idle_timeout_ms, view.deadline, view.holds, view.waiters));
        same("session", expected, actual)?;
    }
    Ok(())
}

fn compare_numbers(reference: &Reference, played: &Played) -> Result<(), String> {
    let (holds, waiters) = reference.counts(None);
    let counts = Counts {
        idempotency_keys: reference.requests.len() as u64,
        locks: reference.names().len() as u64,
        holds: holds as u64,
        waiters: waiters as u64,
        sessions: reference.sessions.len() as u64,
        remembered_sizes: reference.idle_sizes.len() as u64,
        freezes: reference.freezes.len() as u64,
    };
    same("counts", counts, played.table.counts())?;
    same("now", reference.now, played.table.now())?;
    let (latest, found) = (next_deadline(reference, None), played.table.next_deadline());
    let in_bounds = found <= latest && found >= next_deadline(reference, Some(LAG_DIVISOR));
    if in_bounds { Ok(()) } else { same("next deadline", latest, found) }
}

/// A session may be watched under a deadline that is an eighth of its idle timeout earlier than its own.
pub const LAG_DIVISOR: u64 = 8;

fn next_deadline(reference: &Reference, step: Option<u64>) -> Option<Timestamp> {
    let leases = reference.holds.iter().filter_map(|hold| hold.deadline);
    let waits = reference.waiters.iter().map(|waiter| waiter.deadline);
    let idle = reference.sessions.iter().filter(|(id, _)| reference.waits_of(**id) == 0);
    let early = |session: &Session| step.map_or(0, |step| session.idle_timeout_ms / step);
    let idle = idle.map(|(_, session)| session.seen.after_ms(session.idle_timeout_ms - early(session)));
    let keys =
        reference.requests.iter().filter(|(id, _)| !reference.made_something(**id)).map(|(_, (_, until))| *until);
    let kept = reference.idle_sizes.iter().map(|(until, ..)| *until);
    let delays = reference.delays.values().map(|(until, _)| *until);
    let freezes = reference.freezes.values().map(|freeze| freeze.until);
    let marks = reference.marks.values().map(|(_, until)| *until);
    leases.chain(waits).chain(idle).chain(keys).chain(kept).chain(delays).chain(marks).chain(freezes).min()
}
