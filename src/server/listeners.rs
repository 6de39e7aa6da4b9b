//! Every address of the process, bound before anything is served.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::{fmt, io};

use super::socket;
use crate::config::ListenUrl;
use crate::config::Scheme;

/// How often a port that is free on one address of a host name is given up because another one has it taken.
const FREE_PORT_TRIES: usize = 16;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {url}: {reason}; choose another address or port with --listen")]
pub struct BindError {
    url: ListenUrl,
    reason: io::Error,
}

pub struct Bound {
    pub scheme: Scheme,
    /// See [`ListenUrl::proxy_protocol`].
    pub proxy_protocol: bool,
    pub listener: TcpListener,
    pub address: SocketAddr,
}

impl Bound {
    /// Binds all of `urls`, or none. A host name stands for all of its addresses.
    pub fn all(urls: &[ListenUrl]) -> Result<Vec<Self>, BindError> {
        let failed = |url: &ListenUrl, reason| BindError { url: url.clone(), reason };
        let mut resolved = Vec::new();
        for url in urls {
            resolved.push((url, resolve(url).map_err(|reason| failed(url, reason))?));
        }
        let addresses: Vec<SocketAddr> = resolved.iter().flat_map(|(_, addresses)| addresses.clone()).collect();
        let mut bound: Vec<Self> = Vec::new();
        for (url, mut wanted) in resolved {
            // A name and its address, say: what is listened on already needs no second listener.
            wanted.retain(|address| !bound.iter().any(|bound| bound.is_for(url) && bound.address == *address));
            let all = bind(url.scheme, &wanted, &addresses).map_err(|reason| failed(url, reason))?;
            bound.extend(all.into_iter().map(|one| Self { proxy_protocol: url.proxy_protocol, ..one }));
        }
        Ok(bound)
    }

    /// Whether it takes the connections that this URL asks for.
    fn is_for(&self, url: &ListenUrl) -> bool {
        self.scheme == url.scheme && self.proxy_protocol == url.proxy_protocol
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.address)
    }
}

fn resolve(url: &ListenUrl) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for address in (url.host.as_str(), url.port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host name has no address"));
    }
    Ok(addresses)
}

/// Binds every address of one URL; port 0 is the same port on each.
fn bind(scheme: Scheme, wanted: &[SocketAddr], all: &[SocketAddr]) -> io::Result<Vec<Bound>> {
    for _ in 0..FREE_PORT_TRIES {
        match bind_once(scheme, wanted, all) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_choice(wanted) => {}
            bound => return bound,
        }
    }
    bind_once(scheme, wanted, all)
}

fn is_choice(wanted: &[SocketAddr]) -> bool {
    wanted.len() > 1 && wanted.iter().all(|address| address.port() == 0)
}

fn bind_once(scheme: Scheme, wanted: &[SocketAddr], all: &[SocketAddr]) -> io::Result<Vec<Bound>> {
    let mut bound: Vec<Bound> = Vec::new();
    let mut missing = None;
    for address in wanted {
        let port = bound.first().map_or(address.port(), |first| first.address.port());
        let address = SocketAddr::new(address.ip(), port);
        match socket::listen(address, shares_its_port(address, all)) {
            Ok(listener) => {
                bound.push(Bound { scheme, proxy_protocol: false, address: listener.local_addr()?, listener })
            }
            // Of several, not each must be one of this machine: `localhost` has an IPv6 address also where IPv6 is off.
            Err(error) if wanted.len() > 1 && is_not_of_this_machine(&error) => {
                tracing::warn!(%address, %error, "{address} is not listened on: {error}");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

/// Whether `[::]`, which takes IPv4 connections too as long as no other listener does, has to leave them to another listener.
fn shares_its_port(address: SocketAddr, all: &[SocketAddr]) -> bool {
    let is_other = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
    address.is_ipv6() && address.port() != 0 && all.iter().any(is_other)
}

fn is_not_of_this_machine(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errors = [Errno::ADDRNOTAVAIL, Errno::AFNOSUPPORT];
    errors.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};

    fn urls(texts: &[&str]) -> Vec<ListenUrl> {
        texts.iter().map(|text| ListenUrl::parse(text).expect("a URL")).collect()
    }

    /// A port that was free on every address a moment ago.
    fn free_port() -> u16 {
        socket::listen((Ipv6Addr::UNSPECIFIED, 0).into(), false).expect("a port").local_addr().expect("bound").port()
    }

    #[test]
    fn both_wildcard_addresses_bind_in_either_order() {
        for order in [[0, 1], [1, 0]] {
            let port = free_port();
            let both = [format!("http://0.0.0.0:{port}"), format!("http://[::]:{port}")];
            let bound = Bound::all(&urls(&order.map(|at| both[at].as_str()))).expect("both");
            assert_eq!(bound.len(), 2);
            for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
                TcpStream::connect((ip, port)).expect("somebody listens");
            }
        }
    }

    #[test]
    fn ipv6_wildcard_alone_accepts_ipv4() {
        let bound = Bound::all(&urls(&["http://[::]:0"])).expect("bound");
        TcpStream::connect((Ipv4Addr::LOCALHOST, bound[0].address.port())).expect("somebody listens");
    }

    #[test]
    fn name_and_its_address_bind_once_with_one_scheme() {
        let port = free_port();
        let twice = [format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{port}")];
        assert_eq!(Bound::all(&urls(&twice.each_ref().map(String::as_str))).expect("bound").len(), 1);
        let port = free_port();
        let mixed = [format!("http://127.0.0.1:{port}"), format!("https://127.0.0.1:{port}")];
        assert!(Bound::all(&urls(&mixed.each_ref().map(String::as_str))).is_err());
    }

    #[test]
    fn addresses_of_a_name_share_one_port() {
        let (v4, v6) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0)));
        let bound = bind(Scheme::Http, &[v4, v6], &[v4, v6]).expect("both");
        assert_eq!((bound.len(), bound[0].address.port()), (2, bound[1].address.port()));
        let foreign = SocketAddr::from(([203, 0, 113, 1], 0));
        assert_eq!(bind(Scheme::Http, &[foreign, v6], &[foreign, v6]).expect("one").len(), 1);
        assert!(bind(Scheme::Http, &[foreign, foreign], &[foreign]).is_err());
        assert!(bind(Scheme::Http, &[foreign], &[foreign]).is_err());
    }
}
