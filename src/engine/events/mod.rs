//! What happened to locks and sessions: the last events, each under an id that is the same on every node, and
//! subscriptions that continue from any of them or learn that they have missed some.
//!
//! What may not live here: the wire, and anything that apply would have to wait for.

mod event;
mod log;
mod ring;
mod source;
mod subscription;

pub use event::{EventFilter, EventId, LockEvent, NameFilter, PublishedEvent};
pub use log::{EventLog, EventOptions, SubscriptionsFull};
pub use ring::GapReason;
pub use source::{CurrentState, EventSource};
pub use subscription::{Subscription, Update};
