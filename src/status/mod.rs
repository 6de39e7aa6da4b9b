//! (room: status)
