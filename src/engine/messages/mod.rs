//! What the engines of two nodes say to each other, in our own versioned encoding.
//!
//! What may not live here: what a node does with a message.

mod client;
mod codec;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use client::{ASK_TIMEOUT, ask, ask_at};
pub use codec::{decode, encode};
pub use reply::{MemberLine, Reply};
pub use request::{Change, Request, TableDigest, TracedCommand, Verdict};
