//! No hold ends before its lease, its session or a command ends it; once due, it ends.

use super::driver::Played;
use super::script::{NAMES, Step, Verb, steps};
use super::{CASES, for_all_scripts_of};
use latchd::domain::{
    Acquire, Applied, Body, Command, EndReason, Event, Grant, HoldKey, Name, Outcome, Timestamp, Token,
};
use proptest::strategy::Strategy;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn hold_never_ends_before_its_lease() {
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

/// Scripts in which each key belongs to one hold.
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

/// What holders were told, by token. Only holds of which nobody was told yet are read from the table.
#[derive(Default)]
struct Promised(BTreeMap<Token, Promise>);

struct Promise {
    /// Under which it has not ended yet.
    names: BTreeSet<Name>,
    key: HoldKey,
    deadline: Option<Timestamp>,
    /// The attempts that were answered with it and whose answers were not lost. Without any, it may end at any time.
    answers: BTreeSet<HoldKey>,
    /// It may last longer than promised.
    at_least: bool,
}

impl Promised {
    fn note_grants(&mut self, played: &Played, applied: &Applied) -> Result<(), String> {
        let mut grants: Vec<(&Name, &Grant, Option<HoldKey>)> = Vec::new();
        let commands = if let Body::Batch { commands, .. } = &played.entry.body { &commands[..] } else { &[] };
        for (submitted, (_, outcome)) in commands.iter().zip(&applied.outcomes) {
            match (&submitted.command, outcome) {
                (Command::Acquire(ask), Outcome::Acquired(grant)) => {
                    long_enough(ask, grant, played.table.now())?;
                    grants.push((&ask.name, grant, Some(ask.key)));
                }
                (command, Outcome::Changed(grant)) => {
                    grants.extend(command.name().map(|name| (name, grant, Some(grant.key))));
                }
                _ => {}
            }
        }
        grants.extend(applied.events.iter().filter_map(|event| match event {
            Event::WaiterGranted { name, grant, unconfirmed, .. } => {
                Some((name, grant, Some(grant.key).filter(|_| !unconfirmed)))
            }
            _ => None,
        }));
        let silent = silent_grants(played, &grants);
        grants.extend(silent.iter().map(|(name, grant)| (name, grant, None)));
        // Tokens tell the order of the grants; a retry is given an older one again.
        grants.sort_by_key(|(_, grant, _)| grant.token);
        grants.into_iter().for_each(|(name, grant, answered)| self.grant(played, name, grant, answered));
        for (submitted, (_, outcome)) in commands.iter().zip(&applied.outcomes) {
            if let (Command::Renew { lease_ms, .. }, Outcome::Renewed(Grant { deadline, .. })) =
                (&submitted.command, outcome)
                && *deadline < Some(played.table.now().after_ms((*lease_ms).max(1)))
            {
                return Err(format!("renewed for {lease_ms} ms until {deadline:?}"));
            }
            self.note_other(&submitted.command, outcome);
        }
        Ok(())
    }

    /// A label that reenters has the same hold under a new token.
    fn grant(&mut self, played: &Played, name: &Name, grant: &Grant, answered: Option<HoldKey>) {
        let Grant { key, token, deadline, .. } = *grant;
        let before = self.0.remove(&token);
        let told = played.events().iter().filter_map(|event| match event {
            Event::Granted { name, token: granted, .. } => Some(name.clone()).filter(|_| *granted == token),
            _ => None,
        });
        let known = before.iter().flat_map(|promise| promise.names.clone());
        let names = known.chain(told).chain([name.clone()]).collect();
        let before = before.map_or_else(BTreeSet::new, |promise| promise.answers);
        let is_reentry = self.0.values().any(|promise| promise.key == key);
        self.0.retain(|_, promise| promise.key != key);
        let answered = answered.map(|attempt| if is_reentry { key } else { attempt });
        let answers = before.into_iter().chain(answered).collect();
        self.0.insert(token, Promise { names, key, deadline, answers, at_least: false });
    }

    fn note_other(&mut self, command: &Command, outcome: &Outcome) {
        match (command, outcome) {
            (_, Outcome::Renewed(grant) | Outcome::ValueSet(grant)) => {
                let renewed = self.0.get_mut(&grant.token);
                if let Some(promise) = renewed {
                    (promise.deadline, promise.at_least) = (grant.deadline, false);
                    // A client that can renew was told, in some way.
                    promise.answers.insert(grant.key);
                }
            }
            (Command::ConfirmDelivery { name, key }, Outcome::Confirmed) => {
                let confirmed = self.0.values_mut().find(|promise| promise.names.contains(name) && promise.key == *key);
                if let Some(promise) = confirmed {
                    promise.answers.insert(*key);
                    promise.at_least = true;
                }
            }
            (Command::Upgrade(ask), Outcome::Waiting { .. }) => {
                let known =
                    self.0.values_mut().find(|promise| promise.names.contains(&ask.name) && promise.key == ask.key);
                if let Some(promise) = known {
                    promise.answers.insert(ask.key);
                    promise.at_least = true;
                }
            }
            (Command::Cancel { name, key }, Outcome::Cancelled(_)) => {
                let lost = self.0.values_mut().filter(|promise| promise.names.contains(name));
                lost.for_each(|promise| _ = promise.answers.remove(key));
            }
            _ => {}
        }
    }

    fn note_ends(&mut self, played: &Played) -> Result<(), String> {
        let now = played.table.now();
        for event in played.events() {
            let Event::HoldEnded { name, token, why, .. } = event else { continue };
            let Some(promise) = self.0.get_mut(token) else {
                return match came_and_went(played, *token) {
                    true => Ok(()),
                    false => Err(format!("{token:?} ended, unknown or twice")),
                };
            };
            if !promise.names.remove(name) {
                return Err(format!("{token:?} is of {:?}, not of {name}", promise.names));
            }
            let is_early = promise.deadline.is_none_or(|deadline| now <= deadline);
            if *why == EndReason::Expired && is_early && !promise.answers.is_empty() {
                return Err(format!("{token:?} expired at {now:?}, promised until {:?}", promise.deadline));
            }
            if *why == EndReason::Cancelled && !promise.answers.is_empty() {
                return Err(format!("{token:?} was taken back, although it was answered"));
            }
            if promise.names.is_empty() {
                self.0.remove(token);
            }
        }
        Ok(())
    }

    /// All promised holds exist; after a batch there are no others.
    fn compare(&self, played: &Played) -> Result<(), String> {
        let now = played.table.now();
        let due = |promise: &Promise| promise.deadline.is_some_and(|deadline| now > deadline);
        let told = || self.0.iter().filter(|(_, promise)| !promise.answers.is_empty());
        if matches!(played.entry.body, Body::Batch { .. })
            && let Some((token, promise)) = told().find(|(_, promise)| due(promise) && !promise.at_least)
        {
            return Err(format!("{token:?} was due at {:?} and is not told ended at {now:?}", promise.deadline));
        }
        let mut seen: BTreeSet<(Token, Name)> = BTreeSet::new();
        for name in NAMES.map(Name::from) {
            let view = played.table.lock_view(&name, now);
            seen.extend(view.iter().flat_map(|view| view.holds.iter().map(|hold| (hold.token, name.clone()))));
        }
        let is_whole =
            |token: &Token, promise: &Promise| promise.names.iter().all(|name| seen.contains(&(*token, name.clone())));
        if let Some((token, _)) = told().find(|(token, promise)| !due(promise) && !is_whole(token, promise)) {
            return Err(format!("{token:?} is promised and not seen"));
        }
        match seen.iter().find(|(token, name)| !self.0.get(token).is_some_and(|known| known.names.contains(name))) {
            Some((token, name)) => Err(format!("{token:?} of {name} is seen, and was never granted")),
            None => Ok(()),
        }
    }
}

/// Holds of detached waiters: they learn of it by asking again, so a view shows the hold first.
fn silent_grants(played: &Played, told: &[(&Name, &Grant, Option<HoldKey>)]) -> Vec<(Name, Grant)> {
    let mut silent = Vec::new();
    for event in played.events() {
        let Event::Granted { name, token, .. } = event else { continue };
        let view = played.table.lock_view(name, played.table.now());
        let hold = view.and_then(|view| view.holds.into_iter().find(|hold| hold.token == *token));
        if let Some(hold) = hold.filter(|_| told.iter().all(|(_, grant, _)| grant.token != *token)) {
            let (key, token, since, deadline) = (hold.key, hold.token, hold.since, hold.deadline);
            silent.push((name.clone(), Grant { key, token, since, deadline }));
        }
    }
    silent
}

/// Holds that were granted and ended in this entry, without anybody being told.
fn came_and_went(played: &Played, ended: Token) -> bool {
    played.events().iter().any(|event| matches!(event, Event::Granted { token, .. } if *token == ended))
}

/// A retry is given what its first attempt asked for.
fn long_enough(ask: &Acquire, grant: &Grant, now: Timestamp) -> Result<(), String> {
    let asked = ask.lease_ms.map(|lease_ms| now.after_ms(lease_ms.max(1)));
    let enough = grant.deadline.is_none() || (asked.is_some() && asked <= grant.deadline);
    let is_retry = ask.idempotency_key.is_some() && grant.key != ask.key;
    if enough || is_retry { Ok(()) } else { Err(format!("asked until {asked:?}, got {grant:?}")) }
}
