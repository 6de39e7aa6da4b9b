//! Who leads: heartbeats, pre-vote, elections and leadership transfer.

pub mod elections;
pub mod transfer;
