//! What the clients of a run do: cycles on names that are checked in full, leases that run out, conversions, reads, and
//! queues.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::choices::{self, Names};
use super::client::{Client, Hold};
use super::fleet::Addresses;
use super::history::Recorder;
use super::target::Target;
use super::tries::Wanted;
use crate::proof::random::Random;

/// Clients besides those of the queue.
pub const CLIENTS: u64 = 16;
/// Those who wait in the queue of one name, one after another.
const QUEUE: u64 = 4;
/// Longer than any run.
const WHOLE_RUN_MS: u64 = 36_000_000;
/// Names of locks with short leases; few, so that clients meet.
const LEASED: usize = 6;
/// Uses of a name before a new one takes its place; a use is at most four operations, and some are under way.
const USES_PER_NAME: u32 = 32;
/// Shorter than the patience of those who wait: who asks again might have lost the place, and proves nothing.
const QUEUED_WITHIN: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_millis(20);

/// Shared by all clients of a run.
pub struct Workload<'a> {
    pub nodes: Addresses,
    pub recorder: &'a Recorder,
    pub stop: AtomicBool,
    names: Mutex<Names>,
}

impl<'a> Workload<'a> {
    pub fn new(nodes: Addresses, recorder: &'a Recorder) -> Self {
        Self { nodes, recorder, stop: AtomicBool::new(false), names: Mutex::default() }
    }

    /// Runs all clients while `meanwhile` does.
    pub fn run<T>(&self, random: &mut Random, meanwhile: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let client = Client::new(number, &self.nodes, self.recorder, random.fork());
                scope.spawn(move || self.cycles(client));
            }
            let conductor = random.fork();
            scope.spawn(move || self.queues(conductor));
            // Dropped also when `meanwhile` panics: else the scope would wait for ever.
            let _stop = Stop(&self.stop);
            meanwhile()
        })
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn cycles(&self, mut client: Client<'_>) {
        while !self.is_over() {
            match client.random().below(10) {
                0..=5 => self.checked(&mut client),
                6..=8 => self.leased(&mut client),
                _ => client.move_on(),
            }
            std::thread::sleep(BETWEEN * u32::try_from(client.random().below(4)).expect("a small number"));
        }
        client.abandon();
    }

    /// What is checked in full: its lease outlives the run.
    fn checked(&self, client: &mut Client<'_>) {
        let target = self.names.lock().expect("no client panics").choose(client.random(), USES_PER_NAME);
        let wait_ms = [None, None, Some(100), Some(600)][client.random().below(4)];
        if client.random().below(4) == 0 {
            client.read(&target.name);
        }
        let Some(hold) = self.take(client, &target, WHOLE_RUN_MS, wait_ms) else { return };
        match client.random().below(6) {
            0 => client.renew(&hold, WHOLE_RUN_MS),
            1 => drop(client.read(&target.name)),
            _ => {}
        }
        if let Some(hold) = converted(client, hold) {
            client.release(&hold);
        }
    }

    /// With a short lease, which is given back, renewed, converted, or left to run out.
    fn leased(&self, client: &mut Client<'_>) {
        let target = choices::leased(client.random(), LEASED);
        let lease_ms = 200 + client.random().below(600) as u64;
        let Some(hold) = self.take(client, &target, lease_ms, Some(2500)) else { return };
        match client.random().below(5) {
            0 => client.release(&hold),
            1 => {
                std::thread::sleep(Duration::from_millis(lease_ms / 2));
                client.renew(&hold, lease_ms);
            }
            2 => {
                std::thread::sleep(Duration::from_millis(lease_ms * 9 / 10));
                client.read(&target.name);
            }
            3 => drop(converted(client, hold)),
            _ => {}
        }
    }

    fn take(&self, client: &mut Client<'_>, target: &Target, lease_ms: u64, wait_ms: Option<u64>) -> Option<Hold> {
        let keyed = client.random().below(2) == 0;
        let patience = Duration::from_millis(4000 + wait_ms.unwrap_or(0));
        client.acquire(target.clone(), Wanted { lease_ms, wait_ms, keyed, patience }, self.recorder.number())
    }

    /// Builds a queue of clients one by one, lets it run down, and begins anew.
    fn queues(&self, mut random: Random) {
        let mut client = Client::new(1000, &self.nodes, self.recorder, random.fork());
        let mut round = 0;
        while !self.is_over() {
            round += 1;
            self.queue(&mut client, &format!("fifo-{round}"), &mut random);
            std::thread::sleep(BETWEEN);
        }
        client.abandon();
    }

    fn queue(&self, first: &mut Client<'_>, name: &str, random: &mut Random) {
        let keyed = |patience| Wanted { lease_ms: WHOLE_RUN_MS, wait_ms: Some(20_000), keyed: true, patience };
        let opening = choices::opening(random, name);
        let number = self.recorder.number();
        let Some(hold) = first.acquire(opening.clone(), keyed(Duration::from_secs(5)), number) else { return };
        std::thread::scope(|scope| {
            for place in 0..QUEUE {
                let id = self.recorder.number();
                // Some give a request up and ask again under its key: that must not cost the place either.
                let patience = Duration::from_millis([3000, 25_000][random.below(2)]);
                let mut client = Client::new(1001 + place, &self.nodes, self.recorder, random.fork());
                let target = choices::queued(random, &opening, place + 1);
                scope.spawn(move || {
                    if let Some(hold) = client.acquire(target, keyed(patience), id) {
                        client.release(&hold);
                    }
                    client.abandon();
                });
                if !self.sees_queue_of(first, name, place + 1) {
                    break;
                }
                self.recorder.queued(id, self.recorder.now());
            }
            if let Some(hold) = converted(first, hold) {
                first.release(&hold);
            }
        });
    }

    /// Waits until so many wait; false when that takes too long to be worth it.
    fn sees_queue_of(&self, client: &mut Client<'_>, name: &str, length: u64) -> bool {
        let deadline = Instant::now() + QUEUED_WITHIN;
        while Instant::now() < deadline {
            match client.read(name) {
                Some((Some(_), waiters)) if waiters >= length => return true,
                // Nobody can come into a queue that is not there.
                Some((None, _)) => return false,
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        false
    }
}

/// Converts a hold, perhaps; and perhaps back. `None` if it is not known what became of it.
fn converted(client: &mut Client<'_>, mut hold: Hold) -> Option<Hold> {
    while let Some((to, wait_ms)) = choices::conversion(client.random(), &hold.target) {
        hold = client.convert(&hold, to, wait_ms)?;
    }
    Some(hold)
}

/// Ends the load when it goes out of scope.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
