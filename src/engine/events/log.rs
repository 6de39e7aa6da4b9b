//! The event log, as apply and the subscriptions share it.
//!
//! Apply takes one short lock for each entry, and notifies one task if there are subscriptions. That task wakes the
//! subscriptions, so that a thousand of them cost apply no more than one.

use super::event::{EventFilter, EventId, LockEvent, PublishedEvent};
use super::ring::{IdStatus, Ring, RingRead};
use crate::base::config_value::{positive, positive_duration};
use crate::domain::Event;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// What one read of a subscription may look at and take: it holds apply up for so long.
const SCAN_MAX: usize = 512;
const TAKE_MAX: usize = 64;

/// How often a look for the newest events reads on where few are wanted.
const NEWEST_READS_MAX: usize = 64;

/// Between two rounds of waking: events in between are passed on together.
const WAKE_DELAY: Duration = Duration::from_millis(2);

/// `[events]`: what is kept for subscribers, and how many there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventOptions {
    #[serde(deserialize_with = "buffer")]
    pub buffer_events_max: usize,
    #[serde(deserialize_with = "positive")]
    pub readers_max: usize,
    /// The API shows that a stream lives after so long without an event.
    #[serde(deserialize_with = "positive_duration")]
    pub heartbeat: Duration,
    /// The API drops a reader that takes nothing for this long.
    #[serde(deserialize_with = "positive_duration")]
    pub slow_reader_after: Duration,
}

/// Its memory is reserved when the service starts.
const BUFFER_MAX: usize = 16 << 20;

fn buffer<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let value = positive(from)?;
    if value > BUFFER_MAX { Err(de::Error::custom(format!("expected at most {BUFFER_MAX}"))) } else { Ok(value) }
}

/// There are as many subscriptions as may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionsFull {
    pub limit: u64,
}

pub struct EventLog {
    ring: Mutex<Ring>,
    subscriptions: AtomicUsize,
    subscriptions_max: usize,
    /// There may be something new.
    grown: Notify,
    /// Whether nothing more will come; changes whenever there may be something new.
    ended: watch::Sender<bool>,
}

/// The right to one subscription, which ends when this is dropped.
pub struct SubscriptionSlot(Arc<EventLog>);

impl EventLog {
    pub fn new(options: EventOptions) -> EventLog {
        EventLog {
            ring: Mutex::new(Ring::new(options.buffer_events_max)),
            subscriptions: AtomicUsize::new(0),
            subscriptions_max: options.readers_max,
            grown: Notify::new(),
            ended: watch::Sender::new(false),
        }
    }

    /// The ids of this table begin at this index.
    pub fn begin_at(&self, index: u64, table_id: u64) {
        self.ring.lock().begin_at(index, table_id);
    }

    /// Appends the events of the entry at this index. Called for each entry, in order.
    pub fn append(&self, index: u64, events: Vec<Event>) {
        self.ring.lock().append(index, events);
        if self.subscriptions.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
    }

    /// A snapshot as of the entry at this index has replaced the table.
    pub fn restored(&self, index: u64, table_id: u64) {
        self.ring.lock().restored(index, table_id);
        self.wake();
    }

    /// Wakes every subscription, so that it checks again.
    pub fn wake(&self) {
        self.grown.notify_one();
    }

    /// Nothing more is published: the node stops.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    pub fn subscription_count(&self) -> u64 {
        self.subscriptions.load(Ordering::Relaxed) as u64
    }

    /// Whether nothing more will come; changes whenever there may be something new.
    pub fn notified(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    /// The notifier: wakes the subscriptions after each [`EventLog::wake`]. Runs until it is aborted.
    pub async fn notify(self: Arc<Self>) {
        loop {
            self.grown.notified().await;
            self.ended.send_modify(|_| {});
            tokio::time::sleep(WAKE_DELAY).await;
        }
    }

    pub fn status_of(&self, id: EventId) -> IdStatus {
        self.ring.lock().status_of(id)
    }

    pub fn after(&self, id: EventId, filter: &EventFilter) -> RingRead {
        self.ring.lock().after(id, filter, SCAN_MAX, TAKE_MAX)
    }

    /// The newest events that are wanted, the newest first, from `before` backwards; and where to go on, if there may be more.
    pub fn newest(
        &self,
        before: Option<EventId>,
        is_wanted: &dyn Fn(&LockEvent) -> bool,
        take_max: usize,
    ) -> (Vec<PublishedEvent>, Option<EventId>) {
        let (mut taken, mut before) = (Vec::new(), before);
        for _ in 0..NEWEST_READS_MAX {
            let left = take_max - taken.len();
            let (more, next) = self.ring.lock().newest(before, is_wanted, SCAN_MAX, left);
            taken.extend(more);
            before = next;
            if taken.len() >= take_max || before.is_none() {
                break;
            }
        }
        (taken, before)
    }

    /// To be taken before the subscription first reads: whatever is appended after that read notifies it.
    pub fn take_slot(self: &Arc<EventLog>) -> Result<SubscriptionSlot, SubscriptionsFull> {
        let slot = SubscriptionSlot(self.clone());
        let before = self.subscriptions.fetch_add(1, Ordering::Relaxed);
        match before < self.subscriptions_max {
            true => Ok(slot),
            false => Err(SubscriptionsFull { limit: self.subscriptions_max as u64 }),
        }
    }
}

impl Drop for SubscriptionSlot {
    fn drop(&mut self) {
        self.0.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_node::event_options;

    #[test]
    fn dropped_subscription_frees_its_slot() {
        let log = Arc::new(EventLog::new(event_options(1, 1)));
        let slot = log.take_slot();
        assert!(slot.is_ok());
        assert_eq!(log.take_slot().err(), Some(SubscriptionsFull { limit: 1 }));
        drop(slot);
        assert!(log.take_slot().is_ok() && log.subscription_count() == 0);
    }
}
