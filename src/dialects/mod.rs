//! (room: dialects)

pub mod body;
pub mod delivery;
pub mod peer;
