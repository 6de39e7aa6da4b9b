//! What the connections of one listener begin with, and so whom each of them is from.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::proxy_header::{ProxyHeaderError, ProxyHeaders};
use super::socket;
use crate::config::Scheme;
use crate::http::connection::ClientAddr;

/// The transport of one listener.
#[derive(Clone)]
pub struct Transport {
    pub scheme: Scheme,
    /// Where each connection begins with a header of the PROXY protocol.
    pub proxy_headers: Option<Arc<ProxyHeaders>>,
}

impl Transport {
    /// Prepares an accepted connection, and tells whom it is from: the peer, or the client that its header names.
    pub async fn open(&self, stream: &mut TcpStream) -> Result<ClientAddr, ProxyHeaderError> {
        socket::prepare(stream)?;
        let peer = ClientAddr { ip: peer_ip(stream)?, https: self.scheme.is_tls() };
        match &self.proxy_headers {
            Some(headers) => headers.client(stream, peer).await,
            None => Ok(peer),
        }
    }
}

fn peer_ip(stream: &TcpStream) -> io::Result<std::net::IpAddr> {
    Ok(stream.peer_addr()?.ip().to_canonical())
}
