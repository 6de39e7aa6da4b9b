//! Connections between nodes over mutual TLS, with an authority of the cluster's own.
//!
//! A certificate from that authority shows that the other side is one of the cluster's machines; no other host gets past the
//! handshake. The files are read again when they have changed, so that certificates are renewed without a restart.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::base::BoxFuture;
use crate::base::listen_url::{ListenUrl, Scheme};
use crate::base::named_file::{self, PEM_BYTES_MAX};
use crate::raft::interface::{AcceptedConnection, Handshake, Incoming, Stream, Transport};
use crate::raft::peers::certificate::PeerCertificate;

const PROTOCOL: &[u8] = b"latchd-peer";
/// Unanswered data makes the kernel give the connection up after this.
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(5);

/// PEM files: the authority of the cluster, and this node's own pair from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFiles {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Why this node cannot connect to other nodes.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("{path}: cannot be read ({source}); check the files that are set for traffic between nodes")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: {reason}")]
    Unusable { path: PathBuf, reason: String },
    #[error("{address} cannot be listened on for other nodes ({source}); is another process there?")]
    Bind { address: SocketAddr, source: io::Error },
}

/// Listens and dials with one pair of certificates.
#[derive(Debug)]
pub struct TlsTransport {
    listener: TcpListener,
    files: PeerFiles,
    loaded: Mutex<TlsConfigs>,
    /// Why the files cannot be used as they are now, to log it once and not at every connection.
    reported: Mutex<String>,
}

#[derive(Debug, Clone)]
struct TlsConfigs {
    contents: PemFiles,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PemFiles {
    ca: Vec<u8>,
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl TlsTransport {
    /// Reads the files and listens; must be called within the runtime.
    pub fn bind(listen: SocketAddr, files: PeerFiles) -> Result<TlsTransport, TransportError> {
        let loaded = TlsConfigs::build(&files, files.read()?)?;
        let bound = std::net::TcpListener::bind(listen).and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        let listener = bound.map_err(|source| TransportError::Bind { address: listen, source })?;
        Ok(TlsTransport { listener, files, loaded: Mutex::new(loaded), reported: Mutex::default() })
    }

    /// The address that it listens on, with the port that port 0 became.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The configurations from the files as they are now. Files that cannot be used are reported, and the configurations
    /// before stay in use.
    fn current(&self) -> TlsConfigs {
        let mut loaded = self.loaded.lock();
        let mut reported = self.reported.lock();
        let renewed = match self.files.read() {
            Ok(contents) if contents == loaded.contents => {
                reported.clear();
                return loaded.clone();
            }
            Ok(contents) => TlsConfigs::build(&self.files, contents),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(renewed) => {
                tracing::info!("the certificate for other nodes was renewed");
                reported.clear();
                *loaded = renewed;
            }
            Err(error) if *reported == error.to_string() => {}
            Err(error) => {
                *reported = error.to_string();
                tracing::warn!(%error, "the certificate for other nodes cannot be renewed: the one in use stays");
            }
        }
        loaded.clone()
    }
}

impl Transport for TlsTransport {
    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            let (stream, from) = self.listener.accept().await?;
            let acceptor = TlsAcceptor::from(self.current().server);
            let handshake: Handshake = Box::pin(async move {
                prepare(&stream)?;
                let stream = acceptor.accept(stream).await?;
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                // The verifier requires one; without it this node would accept any host.
                let own = shown.ok_or_else(|| io::Error::new(io::ErrorKind::PermissionDenied, "no certificate"))?;
                let certificate = Some(PeerCertificate(own.clone().into_owned()));
                Ok(AcceptedConnection { stream: Box::new(stream), certificate })
            });
            Ok(Incoming { address: Some(from.ip()), handshake })
        })
    }

    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Stream>> {
        let connector = TlsConnector::from(self.current().client);
        let target = host_and_port(address);
        Box::pin(async move {
            let (host, port) = target?;
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            prepare(&stream)?;
            Ok(Box::new(connector.connect(name, stream).await?) as Stream)
        })
    }

    fn certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        let PemFiles { ca, cert, .. } = self.current().contents;
        vec![("cluster.peer_cert", cert), ("cluster.peer_ca", ca)]
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT))
}

/// The parts of `https://host:port`.
pub fn host_and_port(address: &str) -> io::Result<(String, u16)> {
    let url = ListenUrl::parse(address).filter(|url| url.scheme == Scheme::Https);
    url.map(|url| (url.host, url.port)).ok_or_else(|| {
        let reason = format!("{address:?} is no address of a node, which looks like https://10.0.0.1:9443");
        io::Error::new(io::ErrorKind::InvalidInput, reason)
    })
}

impl PeerFiles {
    fn read(&self) -> Result<PemFiles, TransportError> {
        Ok(PemFiles { ca: read(&self.ca)?, cert: read(&self.cert)?, key: read(&self.key)? })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TransportError> {
    named_file::read(path, PEM_BYTES_MAX).map_err(|source| TransportError::Unreadable { path: path.to_owned(), source })
}

impl TlsConfigs {
    fn build(files: &PeerFiles, contents: PemFiles) -> Result<TlsConfigs, TransportError> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots(&files.ca, &contents.ca)?);
        let chain = certificates(&files.cert, &contents.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|error| unusable(&files.key, format!("holds no PEM private key ({error})")))?;
        let unsupported = |error: rustls::Error| unusable(&files.cert, error.to_string());
        let mismatch = |error: rustls::Error| {
            unusable(&files.cert, format!("does not go with the key {} ({error})", files.key.display()))
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let verifier = verifier.map_err(|error| unusable(&files.ca, error.to_string()))?;
        let server = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13]);
        let server = server.map_err(unsupported)?.with_client_cert_verifier(verifier);
        let mut server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(mismatch)?;
        let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
        let client = client.map_err(unsupported)?.with_root_certificates(roots);
        let mut client = client.with_client_auth_cert(chain, key).map_err(mismatch)?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(TlsConfigs { contents, server: Arc::new(server), client: Arc::new(client) })
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(unusable(path, "holds no PEM certificate".to_owned())),
        Err(error) => Err(unusable(path, format!("is not PEM ({error})"))),
    }
}

fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TransportError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| unusable(path, format!("holds no usable authority ({error})")))?;
    }
    Ok(roots)
}

fn unusable(path: &Path, reason: String) -> TransportError {
    TransportError::Unusable { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn addresses() {
        for (address, host, port) in [
            ("https://10.0.0.1:9443", "10.0.0.1", 9443),
            ("https://node-1.example:1/", "node-1.example", 1),
            ("https://[::1]:9443", "::1", 9443),
        ] {
            assert_eq!(host_and_port(address).expect("an address"), (host.to_owned(), port));
        }
        for bad in ["", "10.0.0.1:9443", "http://a:1", "https://a", "https://a:port", "https://a:70000"] {
            host_and_port(bad).expect_err(bad);
        }
    }
}
