//! All holders of a lock may have it together: all shared, or within its size, by the weights that they asked for.

use super::driver::Played;
use super::for_all_scripts;
use super::script::NAMES;
use latchd::domain::view::LockView;
use latchd::domain::{Acquire, Body, Command, HoldKey, Name, Outcome, SHARED};
use std::collections::BTreeMap;

#[test]
fn holders_of_a_lock_are_always_compatible() {
    for_all_scripts(|| {
        let mut sizes = Sizes::default();
        move |played| {
            sizes.note(played);
            NAMES.map(Name::from).iter().try_for_each(|name| sizes.check(played, name))
        }
    });
}

/// Size and weight.
type Asked = (u32, u32);

#[derive(Default)]
struct Sizes {
    /// What each key asked for; `None` where two acquires of one lock shared a key, or the hold changed its mode.
    asked: BTreeMap<(Name, HoldKey), Option<Asked>>,
    /// Of resized locks, what is held at most until enough is given back.
    resized: BTreeMap<Name, u64>,
}

impl Sizes {
    fn note(&mut self, played: &Played) {
        let (Body::Batch { commands, .. }, Ok(applied)) = (&played.entry.body, played.applied) else { return };
        for (submitted, (_, outcome)) in commands.iter().zip(&applied.outcomes) {
            match (&submitted.command, outcome) {
                (Command::Acquire(ask), Outcome::Acquired(_) | Outcome::Waiting { .. } | Outcome::Enqueued { .. }) => {
                    self.note_one(ask)
                }
                (Command::Upgrade(ask), Outcome::Changed(_) | Outcome::Waiting { .. }) => {
                    self.asked.insert((ask.name.clone(), ask.key), None);
                }
                (Command::Downgrade { name, key, .. }, Outcome::Changed(_)) => {
                    self.asked.insert((name.clone(), *key), None);
                }
                (Command::Transfer { key, new_key, .. }, Outcome::Changed(_)) => self.note_new_key(*key, *new_key),
                (Command::Resize { name, .. }, Outcome::Resized { .. }) => {
                    self.resized.insert(name.clone(), u64::MAX);
                }
                _ => {}
            }
        }
    }

    fn note_one(&mut self, ask: &Acquire) {
        for (name, size) in ask.places() {
            // A retry is given what its first attempt asked for.
            let own = Some((size, ask.weight())).filter(|_| ask.idempotency_key.is_none());
            let asked = self.asked.entry((name.clone(), ask.key)).or_insert(own);
            *asked = asked.filter(|asked| Some(*asked) == own);
        }
    }

    fn note_new_key(&mut self, key: HoldKey, new_key: HoldKey) {
        for name in NAMES.map(Name::from) {
            let asked = self.asked.get(&(name.clone(), key)).copied();
            let is_used = self.asked.contains_key(&(name.clone(), new_key));
            asked
                .into_iter()
                .for_each(|asked| _ = self.asked.insert((name.clone(), new_key), asked.filter(|_| !is_used)));
        }
    }

    fn check(&mut self, played: &Played, name: &Name) -> Result<(), String> {
        let Some(view) = played.table.lock_view(name, played.table.now()) else { return Ok(()) };
        let asked: Vec<Option<Asked>> =
            view.holds.iter().map(|hold| self.asked.get(&(name.clone(), hold.key)).copied().flatten()).collect();
        if view.size == SHARED {
            let is_other = |asked: &Option<Asked>| asked.is_some_and(|(size, _)| size != SHARED);
            let other = asked.iter().any(is_other);
            return if other { Err(format!("{name} is shared with {asked:?}")) } else { Ok(()) };
        }
        let held: u64 = asked.iter().map(|asked| u64::from(asked.map_or(1, |(_, weight)| weight))).sum();
        match self.resized.get_mut(name) {
            Some(most) if held <= *most => {
                *most = held.max(view.size.into());
                Ok(())
            }
            _ => check_places(&view, held, &asked),
        }
    }
}

fn check_places(view: &LockView, held: u64, asked: &[Option<Asked>]) -> Result<(), String> {
    let LockView { name, size, .. } = view;
    let other = asked.iter().flatten().find(|(asked, _)| asked != size);
    match other {
        _ if held > u64::from(*size) => Err(format!("{held} places of {name} are held, whose size is {size}")),
        Some((other, _)) => Err(format!("{name} has size {size}, and a holder asked for {other}")),
        None => Ok(()),
    }
}
