//! What carries bytes between nodes. The house has one for the network (`tls.rs`); a simulation brings its own.

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::base::BoxFuture;
use crate::raft::peers::certificate::PeerCertificate;

/// A connection: bytes in order, both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

pub type Stream = Box<dyn ByteStream>;

/// A connection that somebody has opened, before anything was said on it.
pub struct Incoming {
    /// Where it comes from, where the transport knows addresses.
    pub address: Option<IpAddr>,
    pub handshake: Handshake,
}

/// What is left to do until an accepted connection can be used: awaited beside the next `accept`, and given up when it
/// takes too long.
pub type Handshake = BoxFuture<'static, io::Result<Arrival>>;

/// A connection that can be used, and who has shown to be at its other end.
pub struct Arrival {
    pub stream: Stream,
    /// `None` where the transport has none: whoever arrives is believed.
    pub certificate: Option<PeerCertificate>,
}

/// The listener and the dialer of one node.
///
/// Who comes through is one of the cluster's own machines: whatever proves that (certificates) is the transport's
/// business. Which node it is, it says itself, and must fit its certificate.
pub trait Transport: Debug + Send + Sync + 'static {
    /// The next one who connects. An error says that this one failed, not that listening has ended.
    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>>;

    /// Connects to an address as other nodes advertise it.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Stream>>;

    /// The PEM text of each file with certificates, by its configuration key, as the next connection uses it.
    fn certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        Vec::new()
    }
}
