//! The event log, as apply and the readers share it.
//!
//! Apply takes one short lock for each entry, and notifies one task if anybody reads. That task wakes the readers, so that a
//! thousand of them cost apply no more than one.

use super::id::EventId;
use super::reader::ReadersFull;
use super::ring::{Known, Ring, Taken};
use super::wanted::Wanted;
use crate::domain::Event;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What one visit of a reader may look at and take: it holds apply up for so long.
const SCAN_MAX: usize = 512;
const TAKE_MAX: usize = 64;

/// Between two rounds of waking: what happens meanwhile is told together.
const PAUSE: Duration = Duration::from_millis(2);

/// Bounds on what is kept for readers, and on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventOptions {
    pub buffer_events_max: usize,
    pub readers_max: usize,
}

impl Default for EventOptions {
    fn default() -> EventOptions {
        EventOptions { buffer_events_max: 65_536, readers_max: 1_000 }
    }
}

pub struct EventLog {
    ring: Mutex<Ring>,
    readers: AtomicUsize,
    readers_max: usize,
    bell: Bell,
}

/// What wakes the readers.
#[derive(Clone)]
pub struct Bell {
    grown: Arc<Notify>,
    /// Whether nothing more will come.
    ended: watch::Sender<bool>,
}

/// One of the places for readers; free again when this is dropped.
pub struct Seat(Arc<EventLog>);

impl EventLog {
    pub fn new(options: EventOptions) -> EventLog {
        EventLog {
            ring: Mutex::new(Ring::new(options.buffer_events_max)),
            readers: AtomicUsize::new(0),
            readers_max: options.readers_max,
            bell: Bell { grown: Arc::default(), ended: watch::Sender::new(false) },
        }
    }

    /// The service's ids begin here: what lies before is none of its own.
    pub fn begin_at(&self, number: u64, life: u64) {
        self.ring.lock().begin_at(number, life);
    }

    /// What the entry with this number did. Called for each entry, in order.
    pub fn append(&self, number: u64, events: Vec<Event>) {
        self.ring.lock().append(number, events);
        if self.readers.load(Ordering::Relaxed) > 0 {
            self.bell.grown.notify_one();
        }
    }

    /// A snapshot became the state as of the entry with this number.
    pub fn restored(&self, number: u64, life: u64) {
        self.ring.lock().restored(number, life);
        self.bell.grown.notify_one();
    }

    /// Has every reader look around.
    pub fn wake(&self) {
        self.bell.grown.notify_one();
    }

    /// Nothing more is told: the node stops.
    pub fn end(&self) {
        self.bell.ended.send_replace(true);
    }

    /// How many read now.
    pub fn readers(&self) -> u64 {
        self.readers.load(Ordering::Relaxed) as u64
    }

    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    pub fn knows(&self, place: EventId) -> Known {
        self.ring.lock().knows(place)
    }

    pub fn after(&self, place: EventId, wanted: &Wanted) -> Taken {
        self.ring.lock().after(place, wanted, SCAN_MAX, TAKE_MAX)
    }
}

impl Seat {
    /// Taken before the reader looks at the ring: what is appended after that look wakes it.
    pub fn take(log: &Arc<EventLog>) -> Result<Seat, ReadersFull> {
        let seat = Seat(log.clone());
        let before = log.readers.fetch_add(1, Ordering::Relaxed);
        if before >= log.readers_max { Err(ReadersFull { limit: log.readers_max as u64 }) } else { Ok(seat) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Bell {
    pub fn listen(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    /// Wakes the readers whenever there is something new. Runs until it is aborted.
    pub async fn ring(self) {
        loop {
            self.grown.notified().await;
            self.ended.send_modify(|_| {});
            tokio::time::sleep(PAUSE).await;
        }
    }
}
