//! Who is on the other side of a request. The server puts a [`Peer`] into the extensions of every request.

use std::net::IpAddr;
use std::sync::Arc;

use super::delivery::ConnState;
use crate::access::Unidentified;

/// The client's address and scheme, as believed: those of the connection, or what a trusted proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr {
    pub ip: IpAddr,
    /// Whether the client itself speaks TLS, to us or to the proxy; decides about `Secure` cookies.
    pub https: bool,
}

/// One request extension, so that a request pays for one insertion.
#[derive(Clone)]
pub struct Peer {
    pub client: ClientAddr,
    /// Where answers register that must know whether they were delivered.
    pub connection: Arc<ConnState>,
    /// A proxy stands between: the peer is a trusted one, or the request has the headers that proxies add.
    pub via_proxy: bool,
    /// What the request occupies until its caller is known.
    pub unidentified: Arc<Unidentified>,
}
