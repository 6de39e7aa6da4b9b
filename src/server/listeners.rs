//! Every address of the process, bound before anything is served.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use super::socket;
use crate::config::ListenUrl;
use crate::config::listen::Scheme;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {url}: {reason}; choose another address or port with --listen")]
pub struct BindError {
    url: ListenUrl,
    reason: io::Error,
}

/// One bound address.
pub struct Bound {
    pub scheme: Scheme,
    pub listener: TcpListener,
    pub address: SocketAddr,
}

impl Bound {
    /// Binds all of `urls`, or none.
    pub fn all(urls: &[ListenUrl]) -> Result<Vec<Self>, BindError> {
        urls.iter().map(|url| bind(url).map_err(|reason| BindError { url: url.clone(), reason })).collect()
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

fn bind(url: &ListenUrl) -> io::Result<Bound> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in (url.host.as_str(), url.port).to_socket_addrs()? {
        match socket::listen(address) {
            Ok(listener) => {
                let address = listener.local_addr()?;
                return Ok(Bound { scheme: url.scheme, listener, address });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
