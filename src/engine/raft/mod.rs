//! (room: engine::raft)
