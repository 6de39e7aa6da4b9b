//! Who leads: heartbeats, pre-vote, elections and leadership transfer.

pub mod elections;
pub mod lost_end;
mod pre_vote;
mod transfer;
