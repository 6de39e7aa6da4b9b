//! The lock table: pure and deterministic.
//!
//! What lives here: locks, holds, waiters, sessions, fencing tokens and the one function that changes them,
//! [`Table::apply`]. The same entries always give the same state, byte for byte.
//!
//! What may not: async, I/O, clocks, randomness, configuration, unordered maps, other rooms.

pub mod command;
pub mod ids;
pub mod limits;
mod metadata;
pub mod outcome;
pub mod time;
pub mod view;

pub use command::{Acquire, Body, Command, Entry, LeaderStart, Proof, Submitted, Wait};
pub use ids::{CommandId, Dialect, HoldKey, Incarnation, Name, SessionId, Token, WaiterId};
pub use limits::{Field, Limits};
pub use metadata::Metadata;
pub use outcome::{Applied, EndReason, Event, Grant, HeldBy, Outcome, Refusal, WaitEnd};
pub use time::Timestamp;
