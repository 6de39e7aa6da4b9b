//! The way to other nodes: connections, and what is said over them.

mod transport;

pub use transport::{ByteStream, Handshake, Stream, Transport};
