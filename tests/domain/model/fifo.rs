//! No waiter overtakes another of the same or a higher priority that has waited longer.

use super::driver::Played;
use super::for_all_scripts;
use latchd::domain::{Acquire, Body, Command, CommandId, Event, Outcome, Wait};

#[test]
fn waiters_are_granted_by_priority_then_arrival() {
    for_all_scripts(|| {
        let mut line = Line::default();
        move |played| line.check(played)
    });
}

/// The waiting requests, in order of arrival.
#[derive(Default)]
struct Line {
    waiting: Vec<Waiting>,
    entries: usize,
}

struct Waiting {
    id: CommandId,
    ask: Acquire,
    entry: usize,
}

impl Line {
    fn check(&mut self, played: &Played) -> Result<(), String> {
        self.entries += 1;
        if let (Body::Batch { commands, .. }, Ok(applied)) = (&played.entry.body, played.applied) {
            for (submitted, (id, outcome)) in commands.iter().zip(&applied.outcomes) {
                if let (Command::Acquire(ask), Outcome::Waiting { .. }) = (&submitted.command, outcome) {
                    self.arrive(*id, ask);
                }
            }
        }
        played.events().iter().try_for_each(|event| self.see(event))
    }

    /// Detached waiters end without an event, and reentering ones keep an older place: neither is followed.
    fn arrive(&mut self, id: CommandId, ask: &Acquire) {
        let asks_again = ask.reentrant && ask.label.is_some() && ask.session.is_none();
        if matches!(ask.wait, Some(Wait::Attached { .. } | Wait::Guarded { .. }))
            && !asks_again
            && ask.idempotency_key.is_none()
        {
            self.waiting.push(Waiting { id, ask: ask.clone(), entry: self.entries });
        }
    }

    fn see(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::WaiterGranted { command, .. } => self.grant(*command),
            Event::WaiterEnded { command, .. } => {
                self.waiting.retain(|waiting| waiting.id != *command);
                Ok(())
            }
            Event::SessionEnded { session, .. } => {
                self.waiting.retain(|waiting| waiting.ask.session != Some(*session));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn grant(&mut self, id: CommandId) -> Result<(), String> {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.id == id) else { return Ok(()) };
        let granted = self.waiting.remove(at);
        let overtaken = self.waiting.iter().enumerate().find(|(place, waiting)| {
            let longer = *place < at && waiting.ask.priority == granted.ask.priority;
            // Some of this entry's waiters may have arrived after this grant.
            let higher = waiting.entry < self.entries && waiting.ask.priority > granted.ask.priority;
            let meets = waiting.ask.places().any(|(name, _)| granted.ask.places().any(|(own, _)| own == name));
            meets && (longer || higher)
        });
        match overtaken {
            Some((_, waiting)) => Err(format!("{:?} was granted before {:?}", granted.ask, waiting.ask)),
            None => Ok(()),
        }
    }
}
