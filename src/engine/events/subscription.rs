//! One subscription: its position among the events, and what it gets next.

use super::event::{EventFilter, EventId, PublishedEvent};
use super::log::{SubscriptionSlot, SubscriptionsFull};
use super::ring::{GapReason, IdStatus};
use super::source::{CurrentState, EventSource};
use crate::engine::reads::Consistency;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Before a read barrier that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// What a subscriber gets.
#[derive(Debug)]
pub enum Update {
    /// Everything after this follows.
    Begun(EventId),
    /// The state that was asked for at the beginning; everything after it follows.
    State(CurrentState),
    /// Events, and the id up to which there is nothing else for this subscriber.
    Events(Vec<PublishedEvent>, EventId),
    /// Nothing for this subscriber up to here.
    Passed(EventId),
    /// Events are missing. The state shows their result, and everything after it follows.
    Gap(GapReason, CurrentState),
    /// The node stops: another node has the rest.
    Ended,
}

/// Reads events. It holds nothing up: a subscriber that reads too slowly gets a gap.
pub struct Subscription {
    source: Arc<EventSource>,
    consistency: Consistency,
    filter: EventFilter,
    position: Position,
    /// Whether nothing more will come; changes whenever there may be something new.
    notified: watch::Receiver<bool>,
    _slot: SubscriptionSlot,
}

#[derive(Clone, Copy)]
enum Position {
    /// It has not begun: it begins at the present, with the state if that was asked for.
    None {
        with_state: bool,
    },
    /// Some node has sent it everything up to here; this node has not looked it up yet.
    FromElsewhere(EventId),
    At(EventId),
}

impl Subscription {
    /// Begins at the present, or after an event that some node of this service has sent.
    pub fn new(
        source: Arc<EventSource>,
        consistency: Consistency,
        filter: EventFilter,
        after: Option<EventId>,
        with_state: bool,
    ) -> Result<Subscription, SubscriptionsFull> {
        let slot = source.log.take_slot()?;
        let position = after.map_or(Position::None { with_state }, Position::FromElsewhere);
        let notified = source.log.notified();
        Ok(Subscription { source, consistency, filter, position, notified, _slot: slot })
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Update {
        loop {
            // First, so that anything that comes after the read below is noticed.
            if *self.notified.borrow_and_update() || self.source.reader.health.is_removed() {
                return Update::Ended;
            }
            let update = match self.position {
                Position::None { with_state } => self.begin(with_state).await,
                Position::FromElsewhere(id) => self.resume(id).await,
                Position::At(id) => self.read(id).await,
            };
            if let Some(update) = update {
                return update;
            }
        }
    }

    async fn begin(&mut self, with_state: bool) -> Option<Update> {
        if !self.is_current().await {
            return None;
        }
        if with_state {
            let state = self.source.current_state(&self.filter.names).await;
            self.position = Position::At(state.id);
            return Some(Update::State(state));
        }
        let id = self.source.last_id();
        self.position = Position::At(id);
        Some(Update::Begun(id))
    }

    async fn resume(&mut self, id: EventId) -> Option<Update> {
        match self.source.log.status_of(id) {
            IdStatus::Kept => {
                self.position = Position::At(id);
                Some(Update::Begun(id))
            }
            IdStatus::Missing(reason) => self.gap(reason).await,
            IdStatus::NotApplied => {
                if !self.is_current().await {
                    return None;
                }
                // Every event that a node has sent is applied here by now.
                let here = self.source.last_id();
                if id.table_id != here.table_id || id > here {
                    return self.gap(GapReason::UnknownId).await;
                }
                self.wait().await
            }
        }
    }

    async fn read(&mut self, id: EventId) -> Option<Update> {
        match self.source.log.after(id, &self.filter) {
            Err(reason) => self.gap(reason).await,
            Ok((_, next)) if next == id => self.wait().await,
            Ok((events, next)) => {
                self.position = Position::At(next);
                if events.is_empty() {
                    // Many subscriptions that find nothing must not keep a thread from everything else.
                    tokio::task::yield_now().await;
                    return Some(Update::Passed(next));
                }
                Some(Update::Events(events, next))
            }
        }
    }

    async fn gap(&mut self, reason: GapReason) -> Option<Update> {
        let state = self.source.current_state(&self.filter.names).await;
        self.position = Position::At(state.id);
        Some(Update::Gap(reason, state))
    }

    /// The id up to which this subscriber has everything; `None` before it has begun.
    pub fn last_id(&self) -> Option<EventId> {
        match self.position {
            Position::At(id) => Some(id),
            Position::None { .. } | Position::FromElsewhere(_) => None,
        }
    }

    /// Resolves when nothing more will come. It has a receiver of its own, so `next` misses no notification.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut notified = self.notified.clone();
        async move { _ = notified.wait_for(|ended| *ended).await }
    }

    /// Waits until there may be something new.
    async fn wait(&mut self) -> Option<Update> {
        // It cannot fail: the slot keeps the sender.
        let _ = self.notified.changed().await;
        None
    }

    /// Waits until this node has applied everything that was answered anywhere; `false` if it could not find out.
    async fn is_current(&self) -> bool {
        let barrier = async {
            let reached = self.source.reader.read_barrier(self.consistency).await.is_ok();
            if !reached {
                tokio::time::sleep(RETRY_DELAY).await;
            }
            reached
        };
        tokio::select! {
            reached = barrier => reached,
            () = self.ended() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{LockEvent, NameFilter};
    use super::*;
    use crate::domain::{Event, SessionId};
    use crate::engine::test_node::TestNode;

    #[tokio::test]
    async fn subscription_gets_what_is_appended_after_it_began() {
        let node = TestNode::start().await;
        let log = node.events.clone();
        let source = Arc::new(EventSource { log: log.clone(), reader: node.reader() });
        let filter = EventFilter { names: NameFilter::Under(vec![String::new()]), sessions: true };
        let begun = Subscription::new(source, Consistency::Stale, filter, None, false);
        let mut subscription = begun.expect("a slot");
        assert!(matches!(subscription.next().await, Update::Begun(_)));
        let session = SessionId([1; 16]);
        log.append(5, vec![Event::SessionEnded { session, idle: true }]);
        let Update::Events(events, _) = subscription.next().await else { panic!("no events") };
        assert_eq!(events[0].event, LockEvent::SessionEnded { session, idle: true });
        log.end();
        assert!(matches!(subscription.next().await, Update::Ended));
    }
}
