//! What carries bytes between nodes: TLS in production (`tls.rs`), and the transport that a simulation hands in.

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

/// A connection that was accepted, before anything was read from it.
pub struct Incoming {
    /// Its remote address, if the transport knows addresses.
    pub address: Option<IpAddr>,
    pub handshake: Handshake,
}

/// The part of accepting a connection that may take long: awaited beside the next `accept`, and given up after a while.
pub type Handshake = BoxFuture<'static, io::Result<Arrival>>;

/// A connection that can be used, and the certificate of its other end.
pub struct Arrival {
    pub stream: Stream,
    /// `None` if the transport has none: then the hello alone is believed.
    pub certificate: Option<PeerCertificate>,
}

/// The listener and the dialer of one node.
///
/// The transport proves, with certificates, that the other side is one of the cluster's machines. The hello says which
/// node it is, and must fit the certificate.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Accepts the next connection. An error means that this one failed, not that listening has ended.
    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>>;

    /// Connects to an address as other nodes advertise it.
    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Stream>>;

    /// The PEM text of each file with certificates, by its configuration key, as the next connection uses it.
    fn certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        Vec::new()
    }
}
