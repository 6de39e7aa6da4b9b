//! What happened to locks and sessions, for those who want to be told: the last so many events, each under an id that is
//! the same on every node, and readers that go on from any of them or are told that they missed some.
//!
//! What lives here: the ring that apply appends to, and its readers. What may not: the wire, and anything that apply
//! would have to wait for.

mod id;
mod log;
mod reader;
mod ring;
mod state;
mod wanted;

pub use id::EventId;
pub use log::{EventLog, EventOptions};
pub use reader::{Reader, ReadersFull, Step};
pub use ring::{Happened, Published};
pub use state::{State, Why};
pub use wanted::{Names, Wanted};
