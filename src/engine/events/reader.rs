//! One reader: where it stands among the events, and what it is told next.

use super::id::EventId;
use super::log::Seat;
use super::ring::{Known, Published, Taken};
use super::state::{State, Why, state};
use super::wanted::Wanted;
use crate::engine::face::Engine;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// Before the cluster is asked again how far it is, when it could not say.
const PAUSE: Duration = Duration::from_millis(200);

/// No further reader has a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadersFull {
    pub limit: u64,
}

/// What a reader is told.
#[derive(Debug)]
pub enum Step {
    /// Everything after this follows.
    Begun(EventId),
    /// The state that was asked for to begin with; everything after it follows.
    State(State),
    /// Events, and the place up to which nothing else is for this reader.
    Happened(Vec<Published>, EventId),
    /// Nothing for this reader up to here.
    Passed(EventId),
    /// Something is missing; this is what became of it, and what follows it is told.
    Gap(Why, State),
    /// The node stops: another one tells the rest.
    Ended,
}

/// Reads the events. It holds nothing up: who reads too slowly is told of a gap.
pub struct Reader {
    engine: Engine,
    wanted: Wanted,
    stands: Stands,
    /// Whether nothing more will come; changes whenever there may be something new.
    bell: watch::Receiver<bool>,
    _seat: Seat,
}

#[derive(Clone, Copy)]
enum Stands {
    /// Nowhere yet: it begins at the present, with the state where that was asked for.
    Nowhere {
        with_state: bool,
    },
    /// Told up to here by whatever node, and not yet found here.
    Elsewhere(EventId),
    At(EventId),
}

impl Engine {
    /// Begins to read at the present, or after an event that some node of this service has told.
    pub fn read_events(&self, wanted: Wanted, after: Option<EventId>, with_state: bool) -> Result<Reader, ReadersFull> {
        let core = &self.0.core;
        let seat = Seat::take(&core.events)?;
        let stands = after.map_or(Stands::Nowhere { with_state }, Stands::Elsewhere);
        Ok(Reader { engine: self.clone(), wanted, stands, bell: core.events.bell().listen(), _seat: seat })
    }
}

impl Reader {
    /// What comes next. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Step {
        loop {
            // First, so that whatever comes after a look is noticed.
            if *self.bell.borrow_and_update() || self.engine.0.core.removed.load(Ordering::Relaxed) {
                return Step::Ended;
            }
            let step = match self.stands {
                Stands::Nowhere { with_state } => self.begin(with_state).await,
                Stands::Elsewhere(place) => self.resume(place).await,
                Stands::At(place) => self.take(place).await,
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    async fn begin(&mut self, with_state: bool) -> Option<Step> {
        if !self.is_current().await {
            return None;
        }
        if with_state {
            let state = state(&self.engine, &self.wanted).await;
            self.stands = Stands::At(state.place);
            return Some(Step::State(state));
        }
        let place = self.engine.0.core.place();
        self.stands = Stands::At(place);
        Some(Step::Begun(place))
    }

    async fn resume(&mut self, place: EventId) -> Option<Step> {
        match self.engine.0.core.events.knows(place) {
            Known::Here => {
                self.stands = Stands::At(place);
                Some(Step::Begun(place))
            }
            Known::Missing(why) => self.gap(why).await,
            Known::NotYet => {
                if !self.is_current().await {
                    return None;
                }
                // What was told anywhere is applied here by now.
                let here = self.engine.0.core.place();
                if place.life != here.life || place > here {
                    return self.gap(Why::UnknownId).await;
                }
                self.rest().await
            }
        }
    }

    async fn take(&mut self, place: EventId) -> Option<Step> {
        match self.engine.0.core.events.after(place, &self.wanted) {
            Taken::Gap(why) => self.gap(why).await,
            Taken::Events(_, next) if next == place => self.rest().await,
            Taken::Events(events, next) => {
                self.stands = Stands::At(next);
                if events.is_empty() {
                    // Many readers that find nothing for them must not keep a thread from the rest.
                    tokio::task::yield_now().await;
                    return Some(Step::Passed(next));
                }
                Some(Step::Happened(events, next))
            }
        }
    }

    async fn gap(&mut self, why: Why) -> Option<Step> {
        let state = state(&self.engine, &self.wanted).await;
        self.stands = Stands::At(state.place);
        Some(Step::Gap(why, state))
    }

    /// Up to where this reader has been told everything; `None` before it has begun.
    pub fn place(&self) -> Option<EventId> {
        match self.stands {
            Stands::At(place) => Some(place),
            Stands::Nowhere { .. } | Stands::Elsewhere(_) => None,
        }
    }

    /// Resolves when nothing more will come. Listens by itself: what the bell has told is told to `next` too.
    pub fn ended(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut bell = self.bell.clone();
        async move { _ = bell.wait_for(|ended| *ended).await }
    }

    /// Waits until there may be something new.
    async fn rest(&mut self) -> Option<Step> {
        // The seat keeps the sender.
        let _ = self.bell.changed().await;
        None
    }

    /// Waits until this node has applied all that was answered anywhere; `false` if it could not find out.
    async fn is_current(&self) -> bool {
        let barrier = async {
            let reached = self.engine.read_barrier().await.is_ok();
            if !reached {
                tokio::time::sleep(PAUSE).await;
            }
            reached
        };
        tokio::select! {
            reached = barrier => reached,
            () = self.ended() => false,
        }
    }
}
