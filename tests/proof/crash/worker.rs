//! One client under load. It knows of each of its names what it was told last, and what it asked without an answer.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::calls::{Caller, Dialect, Hold, Trouble};
use super::tokens::Tokens;
use crate::proof::random::Random;
use crate::support::process::Server;

/// Names that only one worker uses, for each.
const OWN_NAMES: usize = 12;
/// Names that all workers want, across the dialects.
pub const SHARED_NAMES: [&str; 2] = ["shared-a", "shared-b"];
/// How long a worker waits for a shared name.
const WAIT_MS: [u32; 3] = [0, 20, 200];

/// What a worker knows of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It never had it, or was told that its release is done.
    Free,
    /// It was told that it has it.
    Held(Hold),
    /// It asked for it and got no answer.
    Locking,
    /// It gave it back and got no answer.
    Unlocking(Hold),
}

/// What all workers share while they run.
#[derive(Default)]
pub struct Arena {
    pub tokens: Tokens,
    pub complaints: Mutex<Vec<String>>,
    pub answers: AtomicU64,
    inside: [AtomicBool; SHARED_NAMES.len()],
}

pub struct Worker {
    pub caller: Caller,
    pub states: BTreeMap<String, State>,
    random: Random,
}

impl Arena {
    pub fn complain(&self, complaint: String) {
        self.complaints.lock().expect("no worker panics").push(complaint);
    }

    /// Before a crash test goes on: nobody is inside but who is known to hold.
    pub fn set_inside(&self, name: &str, held: bool) {
        if let Some(inside) = self.inside_of(name) {
            inside.store(held, Ordering::SeqCst);
        }
    }

    /// Called between the grant's answer and the release's request: two at once are two holders.
    fn enter(&self, name: &str) {
        if self.inside_of(name).is_some_and(|inside| inside.swap(true, Ordering::SeqCst)) {
            self.complain(format!("{name}: granted to two at the same time"));
        }
    }

    fn leave(&self, name: &str) {
        self.set_inside(name, false);
    }

    fn inside_of(&self, name: &str) -> Option<&AtomicBool> {
        SHARED_NAMES.iter().position(|shared| *shared == name).map(|index| &self.inside[index])
    }
}

impl Worker {
    pub fn new(server: &Server, number: usize, random: Random) -> Self {
        let dialect = if number.is_multiple_of(2) { Dialect::Sessions } else { Dialect::GetLock };
        let own = (0..OWN_NAMES).map(|index| format!("worker-{number}-{index}"));
        let names = own.chain(SHARED_NAMES.map(str::to_owned));
        let states = names.map(|name| (name, State::Free)).collect();
        Self { caller: Caller::new(server, dialect), states, random }
    }

    /// Works until an answer stays away, which is the crash.
    pub fn run(&mut self, arena: &Arena) {
        loop {
            match self.step(arena) {
                Ok(()) => arena.answers.fetch_add(1, Ordering::Relaxed),
                Err(Trouble::Silence(_)) => return,
                Err(Trouble::Wrong(what)) => return arena.complain(what),
            };
        }
    }

    fn step(&mut self, arena: &Arena) -> Result<(), Trouble> {
        let index = self.random.below(self.states.len());
        let (name, state) =
            self.states.iter().nth(index).map(|(name, state)| (name.clone(), state.clone())).expect("in range");
        match state {
            State::Held(hold) if self.random.below(3) == 0 => self.renew(arena, &name, &hold),
            State::Held(hold) => self.unlock(arena, name, hold),
            _ => self.lock(arena, name),
        }
    }

    fn lock(&mut self, arena: &Arena, name: String) -> Result<(), Trouble> {
        let shared = SHARED_NAMES.contains(&name.as_str());
        let wait_ms = if shared { WAIT_MS[self.random.below(WAIT_MS.len())] } else { 0 };
        self.states.insert(name.clone(), State::Locking);
        let floor = arena.tokens.highest();
        let state = match self.caller.lock(&name, wait_ms)? {
            Some(hold) => {
                arena.enter(&name);
                arena.tokens.note(&name, hold.token, floor).into_iter().for_each(|what| arena.complain(what));
                State::Held(hold)
            }
            None => {
                if !shared {
                    arena.complain(format!("{name}: refused although nobody has it"));
                }
                State::Free
            }
        };
        self.states.insert(name, state);
        Ok(())
    }

    fn unlock(&mut self, arena: &Arena, name: String, hold: Hold) -> Result<(), Trouble> {
        arena.leave(&name);
        self.states.insert(name.clone(), State::Unlocking(hold.clone()));
        if !self.caller.unlock(&name, &hold.key)? {
            arena.complain(format!("{name}: the release of {hold:?} was refused"));
        }
        self.states.insert(name, State::Free);
        Ok(())
    }

    fn renew(&mut self, arena: &Arena, name: &str, hold: &Hold) -> Result<(), Trouble> {
        if self.caller.renew(name, &hold.key)? == Some(false) {
            arena.complain(format!("{name}: the renewal of {hold:?} was refused"));
        }
        Ok(())
    }
}
