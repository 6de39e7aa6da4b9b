//! What the engines of two nodes say to each other, in our own versioned encoding.
//!
//! What may not live here: what a node does with a message.

mod client;
mod codec;
mod members;
mod reply;
mod request;
#[cfg(test)]
mod tests;

pub use client::NodeClient;
pub use members::MemberLine;
pub use reply::Reply;
pub use request::{Change, Request, TableDigest, Verdict};
