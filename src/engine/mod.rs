//! (room: engine)
pub mod raft;
