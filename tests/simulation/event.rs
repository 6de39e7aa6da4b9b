//! What is on its way between simulated nodes.

use std::io;

use tokio::sync::oneshot;

use super::network::Millis;
use super::stream::End;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Closed,
    Broken,
}

/// Something that happens at the far end of a link.
pub enum Event {
    Bytes(u64, Vec<u8>),
    Ends(u64, Ending),
    /// Nobody reads what is sent here.
    Refuses(u64),
    /// Somebody connects.
    Knock(oneshot::Sender<io::Result<End>>),
    /// The connection is there, or is refused.
    Answer(oneshot::Sender<io::Result<End>>, io::Result<End>),
}

/// Something on its way to a link.
pub struct Said {
    pub at: Millis,
    pub from: u64,
    pub to: u64,
    /// `None`: it asks for a connection.
    pub pipe: Option<u64>,
    pub event: Event,
}
