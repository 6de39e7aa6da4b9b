//! Hosts the lock table: applies each committed entry to it, and answers the requests that wait for these entries.
//!
//! What may not live here: consensus, time, and the decision about what is proposed.

mod apply;
mod counters;
mod debug_log;
mod ended_holds;
mod forwarded_traces;
mod host;
mod idle_timeouts;
mod pending_requests;
mod proposed_entry;

pub use counters::Stats;
pub use ended_holds::EndedHold;
pub use host::TableHost;
