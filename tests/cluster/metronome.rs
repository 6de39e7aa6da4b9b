//! A client that stays at one node and takes one free lock after another: it shows when a node gives none, and why.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;

use super::speaker::{Lock, Speaker, granted};
use super::wire::{Ask, Silence};

const BETWEEN: Duration = Duration::from_millis(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// One lock that was granted.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    pub asked: Instant,
    pub granted: Instant,
}

/// What one client saw.
#[derive(Debug, Default)]
pub struct Heard {
    pub node: u64,
    pub beats: Vec<Beat>,
    /// Requests that were sent and came to nothing.
    pub failed: Vec<String>,
    /// Connections that the node did not take any more.
    pub turned_away: Vec<String>,
}

pub struct Metronome {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

impl Metronome {
    pub fn start(node: u64, at: SocketAddr, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, name) = (Arc::clone(&stop), name.to_owned());
        let mut speaker = Speaker::open(at);
        let thread = std::thread::spawn(move || {
            let mut heard = Heard { node, ..Heard::default() };
            for beat in 0_u64.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                heard.beat(&mut speaker, &format!("{name}-{node}-{beat}"));
                if heard.failed.is_empty() && !speaker.is_connected() {
                    // The node leaves. Behind a load balancer this client would be served elsewhere now.
                    break;
                }
                std::thread::sleep(BETWEEN);
            }
            heard
        });
        Self { stop, thread }
    }

    pub fn stop(self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a metronome does not panic")
    }
}

impl Heard {
    /// Takes a lock and gives it back; what cannot be had is asked for again under the same key.
    fn beat(&mut self, speaker: &mut Speaker, name: &str) {
        let asked = Instant::now();
        while asked.elapsed() < GIVE_UP_AFTER {
            let answer = speaker.try_lock(Lock::named(name).leased(60.0).keyed(name), ANSWER_WITHIN);
            match answer.map(|answer| granted(&answer)) {
                Ok(Ok(grant)) => {
                    self.beats.push(Beat { asked, granted: Instant::now() });
                    return self.give_back(speaker, name, &grant.key);
                }
                Ok(Err(told)) => self.failed.push(format!("lock {name}: {told}")),
                Err(Silence::NotSent(error)) => return self.turned_away.push(error.to_string()),
                Err(silence) => self.failed.push(format!("lock {name}: {silence}")),
            }
            std::thread::sleep(BETWEEN);
        }
    }

    fn give_back(&mut self, speaker: &mut Speaker, name: &str, key: &str) {
        let body = json!({"name": name, "key": key});
        match speaker.send(&Ask::post("/v1/unlock", &body), ANSWER_WITHIN) {
            Ok(answer) if answer.status == 200 => {}
            Ok(answer) => self.failed.push(format!("unlock {name}: {} {}", answer.status, answer.text())),
            Err(Silence::NotSent(error)) => self.turned_away.push(error.to_string()),
            Err(silence) => self.failed.push(format!("unlock {name}: {silence}")),
        }
    }

    /// The longest that one grant was waited for.
    pub fn longest(&self) -> Duration {
        self.beats.iter().map(|beat| beat.granted - beat.asked).max().unwrap_or(Duration::MAX)
    }
}

/// The longest time in which no node granted anything.
pub fn longest_gap(heard: &[Heard]) -> Duration {
    let mut granted: Vec<Instant> =
        heard.iter().flat_map(|heard| heard.beats.iter().map(|beat| beat.granted)).collect();
    granted.sort();
    granted.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
}
