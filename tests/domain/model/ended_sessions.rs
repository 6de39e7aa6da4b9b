//! No hold or waiter of an ended session is shown, granted, or left without an answer.

use super::driver::Played;
use super::for_all_scripts;
use super::script::NAMES;
use latchd::domain::{Body, Command, CommandId, Event, Name, Outcome, SessionId, Wait};
use std::collections::BTreeMap;

#[test]
fn holds_and_waiters_of_ended_session_are_gone() {
    for_all_scripts(|| {
        let mut waiting = BTreeMap::new();
        move |played| {
            no_hold_is_seen(played)?;
            no_wait_is_left(&mut waiting, played)
        }
    });
}

fn no_hold_is_seen(played: &Played) -> Result<(), String> {
    for name in NAMES.map(Name::from) {
        let holds = played.table.lock_view(&name, played.table.now()).map(|view| view.holds).unwrap_or_default();
        let orphan = holds.iter().find(|hold| hold.session.is_some_and(|id| played.table.session_view(id).is_none()));
        if let Some(hold) = orphan {
            return Err(format!("a hold of {name} without its session: {hold:?}"));
        }
    }
    Ok(())
}

/// `waiting`: requests of sessions that are not answered yet.
fn no_wait_is_left(waiting: &mut BTreeMap<CommandId, SessionId>, played: &Played) -> Result<(), String> {
    if let (Body::Batch { commands, .. }, Ok(applied)) = (&played.entry.body, played.applied) {
        for (submitted, (id, outcome)) in commands.iter().zip(&applied.outcomes) {
            if let (Command::Acquire(ask), Outcome::Waiting { .. }) = (&submitted.command, outcome)
                && let (Some(session), Some(Wait::Attached { .. } | Wait::Guarded { .. })) = (ask.session, ask.wait)
            {
                waiting.insert(*id, session);
            }
        }
    }
    let mut ended = Vec::new();
    for event in played.events() {
        match event {
            Event::SessionEnded { session, .. } => ended.push(*session),
            Event::WaiterEnded { command, .. } => _ = waiting.remove(command),
            Event::WaiterGranted { command, .. } => {
                let granted = waiting.remove(command);
                if granted.is_some_and(|session| ended.contains(&session)) {
                    return Err(format!("{command:?} was granted after its session's end"));
                }
            }
            Event::Granted { .. }
            | Event::ValueChanged { .. }
            | Event::HoldEnded { .. }
            | Event::Frozen { .. }
            | Event::Thawed { .. }
            | Event::DeadlockSearchCut
            | Event::Broken(_) => {}
        }
    }
    match waiting.iter().find(|(_, session)| ended.contains(session)) {
        Some((command, _)) => Err(format!("{command:?} still waits after its session's end")),
        None => Ok(()),
    }
}
