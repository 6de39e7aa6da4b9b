//! What the HTTP/2 library leaves to us: floods of frames that do nothing but cost, and how much of a connection is read
//! in one turn, because a small frame can become a large head.

mod budget;
mod frames;
mod guard;

pub use guard::Guarded;
