//! Nobody overtakes one of the same or a higher priority who has waited longer for the same lock.

use super::driver::Played;
use super::for_all_scripts;
use latchd::domain::{Acquire, Body, Command, CommandId, Event, Outcome, Wait};

#[test]
fn turns_come_by_priority_and_then_by_arrival() {
    for_all_scripts(|| {
        let mut line = Line::default();
        move |played| line.check(played)
    });
}

/// Requests that wait, in order of arrival.
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
                if let (Command::Acquire(ask), Outcome::Queued { .. }) = (&submitted.command, outcome) {
                    self.arrive(*id, ask);
                }
            }
        }
        played.events().iter().try_for_each(|event| self.see(event))
    }

    /// Detached waiters end without a word, and who asks again keeps an older place: neither is followed.
    fn arrive(&mut self, id: CommandId, ask: &Acquire) {
        let asks_again = ask.reentrant && ask.label.is_some() && ask.session.is_none();
        if matches!(ask.wait, Some(Wait::Attached { .. })) && !asks_again && ask.idempotency_key.is_none() {
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
            // Of this entry's arrivals some may have come after this grant.
            let higher = waiting.entry < self.entries && waiting.ask.priority > granted.ask.priority;
            waiting.ask.name == granted.ask.name && (longer || higher)
        });
        match overtaken {
            Some((_, waiting)) => Err(format!("{:?} was granted before {:?}", granted.ask, waiting.ask)),
            None => Ok(()),
        }
    }
}
