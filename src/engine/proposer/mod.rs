//! The proposer: the one task that hands commands on, into the log while its node leads, to the leader while another does. On
//! a node without peers the requests do that themselves (`queued_entries.rs`), and it only opens the leadership and ticks.
//!
//! It batches what waits in the command queue, stamps cluster time, and sends again, oldest first, whatever it has not
//! seen applied. Apply does each command once.

mod following;
mod leading;
mod queued_entries;
mod standalone;
mod state;
mod unsettled_commands;

pub use queued_entries::QueuedEntries;
pub use state::Proposer;
pub use unsettled_commands::UnsettledCommands;
