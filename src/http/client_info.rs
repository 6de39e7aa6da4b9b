//! Who sent a request, and over which connection. The server puts a [`ClientInfo`] into the extensions of every request.

use super::connection::Connection;
use crate::access::Unidentified;
use axum::http::request::Parts;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// The client's address and scheme: those of the connection, or those that a trusted proxy forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr {
    pub ip: IpAddr,
    /// Whether the client itself speaks TLS, to us or to the proxy; decides about `Secure` cookies.
    pub https: bool,
}

/// One request extension, so that a request pays for one insertion.
#[derive(Clone)]
pub struct ClientInfo {
    pub client: ClientAddr,
    pub connection: Arc<Connection>,
    /// A proxy stands between: the peer is a trusted one, or the request has the headers that proxies add.
    pub via_proxy: bool,
    /// The resources that the request occupies until its caller is known.
    pub unidentified: Arc<Unidentified>,
}

/// The address of the client. Of a handler called in process it is this machine, in plaintext.
pub(crate) fn client(head: &Parts) -> ClientAddr {
    const LOCAL: ClientAddr = ClientAddr { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), https: false };
    head.extensions.get::<ClientInfo>().map_or(LOCAL, |info| info.client)
}
