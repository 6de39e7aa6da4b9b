//! What happened to locks and sessions: the last events, each under an id that is the same on every node, and
//! subscriptions that continue from any of them or learn that they have missed some.
//!
//! What may not live here: the wire, and anything that apply would have to wait for.

mod current_state;
mod event;
mod filter;
mod id;
mod log;
mod notifier;
mod ring;
mod source;
mod subscription;

pub use current_state::CurrentState;
pub use event::{LockEvent, PublishedEvent};
pub use filter::{EventFilter, NameFilter};
pub use id::EventId;
pub use log::{EventLog, EventOptions, SubscriptionsFull};
pub use ring::GapReason;
pub use source::EventSource;
pub use subscription::{Subscription, Update};
