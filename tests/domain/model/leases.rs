//! No hold ends early: before its lease, its session or a command ends it. And once due, it ends.

use super::driver::Played;
use super::script::{NAMES, Step, Verb, steps};
use super::{CASES, for_all_scripts_of};
use latchd::domain::{
    Acquire, Applied, Body, Command, EndReason, Event, Grant, HoldKey, Name, Outcome, Timestamp, Token,
};
use proptest::strategy::Strategy;
use std::collections::BTreeMap;

#[test]
fn a_hold_lasts_as_long_as_was_promised() {
    for_all_scripts_of(CASES, fresh_keys(), || {
        let mut promised = Promised::default();
        move |played| {
            let Ok(applied) = played.applied else { return Ok(()) };
            promised.note_grants(played, applied)?;
            promised.note_ends(played)?;
            promised.compare(played)
        }
    });
}

/// Scripts in which a key is one hold's alone, so that it tells who is who.
fn fresh_keys() -> impl Strategy<Value = Vec<Step>> {
    steps().prop_map(|mut script| {
        let batches =
            script.iter_mut().filter_map(|step| if let Step::Batch(batch) = step { Some(batch) } else { None });
        for asked in batches.flat_map(|batch| &mut batch.commands) {
            if let Verb::Acquire(wanted) = &mut asked.verb {
                wanted.key = None;
            }
        }
        script
    })
}

/// What holders were told, by token. Only what nobody was told yet comes from a look into the table.
#[derive(Default)]
struct Promised(BTreeMap<Token, Promise>);

struct Promise {
    name: Name,
    key: HoldKey,
    deadline: Option<Timestamp>,
}

impl Promised {
    fn note_grants(&mut self, played: &Played, applied: &Applied) -> Result<(), String> {
        let mut grants: Vec<(&Name, &Grant)> = Vec::new();
        let commands = if let Body::Batch { commands, .. } = &played.entry.body { &commands[..] } else { &[] };
        for (submitted, (_, outcome)) in commands.iter().zip(&applied.outcomes) {
            if let (Command::Acquire(ask), Outcome::Acquired(grant)) = (&submitted.command, outcome) {
                long_enough(ask, grant, played.table.now())?;
                grants.push((&ask.name, grant));
            }
        }
        grants.extend(applied.events.iter().filter_map(|event| match event {
            Event::WaiterGranted { name, grant, .. } => Some((name, grant)),
            _ => None,
        }));
        let silent = silent_grants(played, &grants);
        grants.extend(silent.iter().map(|(name, grant)| (name, grant)));
        // Tokens tell the order in which the two lists came about.
        grants.sort_by_key(|(_, grant)| grant.token);
        grants.into_iter().for_each(|(name, grant)| self.grant(name, grant));
        for (_, outcome) in &applied.outcomes {
            if let Outcome::Renewed(grant) = outcome {
                self.0.entry(grant.token).and_modify(|promise| promise.deadline = grant.deadline);
            }
        }
        Ok(())
    }

    /// A label that asks again has the same hold under a new token.
    fn grant(&mut self, name: &Name, grant: &Grant) {
        let Grant { key, token, deadline, .. } = *grant;
        self.0.retain(|_, promise| promise.key != key);
        self.0.insert(token, Promise { name: name.clone(), key, deadline });
    }

    fn note_ends(&mut self, played: &Played) -> Result<(), String> {
        let now = played.table.now();
        for event in played.events() {
            let Event::HoldEnded { name, token, why, .. } = event else { continue };
            let Some(promise) = self.0.remove(token) else {
                return match came_and_went(played, *token) {
                    true => Ok(()),
                    false => Err(format!("{token:?} ended, unknown or twice")),
                };
            };
            if promise.name != *name {
                return Err(format!("{token:?} is of {}, not of {name}", promise.name));
            }
            if *why == EndReason::Expired && promise.deadline.is_none_or(|deadline| now <= deadline) {
                return Err(format!("{token:?} expired at {now:?}, promised until {:?}", promise.deadline));
            }
        }
        Ok(())
    }

    /// All that is promised is there; after a batch nothing else is.
    fn compare(&self, played: &Played) -> Result<(), String> {
        let now = played.table.now();
        let due = |promise: &Promise| promise.deadline.is_some_and(|deadline| now > deadline);
        if matches!(played.entry.body, Body::Batch { .. })
            && let Some((token, promise)) = self.0.iter().find(|(_, promise)| due(promise))
        {
            return Err(format!("{token:?} was due at {:?} and is not told ended at {now:?}", promise.deadline));
        }
        let mut seen: Vec<Token> = Vec::new();
        for name in NAMES.map(Name::from) {
            let view = played.table.lock_view(&name, now);
            seen.extend(view.iter().flat_map(|view| view.holds.iter().map(|hold| hold.token)));
        }
        seen.sort();
        let promised: Vec<Token> =
            self.0.iter().filter(|(_, promise)| !due(promise)).map(|(token, _)| *token).collect();
        if seen == promised { Ok(()) } else { Err(format!("promised {promised:?}, seen {seen:?}")) }
    }
}

/// Holds of detached waiters: nobody is told before asking again, so they are seen first in a view.
fn silent_grants(played: &Played, told: &[(&Name, &Grant)]) -> Vec<(Name, Grant)> {
    let mut silent = Vec::new();
    for event in played.events() {
        let Event::Granted { name, token, .. } = event else { continue };
        let view = played.table.lock_view(name, played.table.now());
        let hold = view.and_then(|view| view.holds.into_iter().find(|hold| hold.token == *token));
        if let Some(hold) = hold.filter(|_| told.iter().all(|(_, grant)| grant.token != *token)) {
            let (key, token, since, deadline) = (hold.key, hold.token, hold.since, hold.deadline);
            silent.push((name.clone(), Grant { key, token, since, deadline }));
        }
    }
    silent
}

/// Granted in this entry to nobody who was told, and ended in it.
fn came_and_went(played: &Played, ended: Token) -> bool {
    played.events().iter().any(|event| matches!(event, Event::Granted { token, .. } if *token == ended))
}

fn long_enough(ask: &Acquire, grant: &Grant, now: Timestamp) -> Result<(), String> {
    let asked = ask.lease_ms.map(|lease_ms| now.after_ms(lease_ms.max(1)));
    let enough = grant.deadline.is_none() || (asked.is_some() && asked <= grant.deadline);
    if enough { Ok(()) } else { Err(format!("asked until {asked:?}, got {grant:?}")) }
}
