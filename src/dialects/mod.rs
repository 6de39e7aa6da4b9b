//! (room: dialects)
