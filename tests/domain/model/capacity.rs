//! A lock never has more live holds than the size that each of them asked for.

use super::driver::Played;
use super::for_all_scripts;
use super::script::NAMES;
use latchd::domain::{Acquire, Body, Command, HoldKey, Name, Outcome};
use std::collections::BTreeMap;

#[test]
fn lock_never_has_more_holds_than_its_size() {
    for_all_scripts(|| {
        let mut sizes = Sizes::default();
        move |played| {
            sizes.note(played);
            NAMES.map(Name::from).iter().try_for_each(|name| sizes.check(played, name))
        }
    });
}

/// What each key asked for; `None` where two acquires of one lock shared a key.
#[derive(Default)]
struct Sizes(BTreeMap<(Name, HoldKey), Option<u32>>);

impl Sizes {
    fn note(&mut self, played: &Played) {
        let (Body::Batch { commands, .. }, Ok(applied)) = (&played.entry.body, played.applied) else { return };
        for (submitted, (_, outcome)) in commands.iter().zip(&applied.outcomes) {
            if let (Command::Acquire(ask), Outcome::Acquired(_) | Outcome::Waiting { .. } | Outcome::Enqueued { .. }) =
                (&submitted.command, outcome)
            {
                self.note_one(ask);
            }
        }
    }

    fn note_one(&mut self, ask: &Acquire) {
        let size = self.0.entry((ask.name.clone(), ask.key)).or_insert(Some(ask.size));
        *size = size.filter(|size| *size == ask.size);
    }

    fn check(&self, played: &Played, name: &Name) -> Result<(), String> {
        let Some(view) = played.table.lock_view(name, played.table.now()) else { return Ok(()) };
        if view.holds.len() > view.size as usize {
            return Err(format!("{} holds of {name}, whose size is {}", view.holds.len(), view.size));
        }
        for hold in &view.holds {
            let asked = self.0.get(&(name.clone(), hold.key)).copied().flatten();
            if asked.is_some_and(|size| view.holds.len() > size as usize) {
                return Err(format!("{} holds of {name}, one of which asked for {asked:?}", view.holds.len()));
            }
        }
        Ok(())
    }
}
