//! All workers together, through as many crashes as a test wants.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::verify;
use super::worker::{Arena, State, Worker};
use crate::proof::random::Random;
use crate::support::process::Server;

const WORKERS: usize = 8;
/// For a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Crowd {
    arena: Arena,
    workers: Vec<Worker>,
}

impl Crowd {
    pub fn new(server: &Server, random: &mut Random) -> Self {
        let workers = (0..WORKERS).map(|number| Worker::new(server, number, random.fork())).collect();
        Self { arena: Arena::default(), workers }
    }

    /// Lets all workers run for this time and until a request is answered, crashes the server by `crash` meanwhile, and returns
    /// when all have noticed.
    pub fn work_until<T>(&mut self, load: Duration, crash: impl FnOnce() -> T) -> T {
        let (arena, before, deadline) = (&self.arena, self.answers(), Instant::now() + PATIENCE);
        std::thread::scope(|scope| {
            for worker in &mut self.workers {
                scope.spawn(|| worker.run(arena));
            }
            std::thread::sleep(load);
            while arena.answers.load(Ordering::Relaxed) == before && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            crash()
        })
    }

    /// Compares everything with the server that came back, and goes on with it. Returns all complaints so far.
    pub fn verify(&mut self, server: &Server) -> Vec<String> {
        for worker in &mut self.workers {
            worker.caller.move_to(server);
        }
        let mut stranger = verify::stranger(server);
        let names: BTreeSet<String> = self.workers.iter().flat_map(|worker| worker.states.keys().cloned()).collect();
        for name in &names {
            let complaints = verify::name(name, &mut self.workers, &mut stranger, &self.arena.tokens);
            complaints.into_iter().for_each(|complaint| self.arena.complain(complaint));
            let is_held = |worker: &Worker| matches!(worker.states.get(name), Some(State::Held(_)));
            self.arena.set_inside(name, self.workers.iter().any(is_held));
        }
        self.arena.complaints.lock().expect("no worker panics").clone()
    }

    /// Requests answered under load so far.
    pub fn answers(&self) -> u64 {
        self.arena.answers.load(Ordering::Relaxed)
    }

    /// Different grants seen so far.
    pub fn grants(&self) -> usize {
        self.arena.tokens.count()
    }

    /// Locks that are held at this moment, as the workers know.
    pub fn held(&self) -> usize {
        let states = self.workers.iter().flat_map(|worker| worker.states.values());
        states.filter(|state| matches!(state, State::Held(_))).count()
    }
}
