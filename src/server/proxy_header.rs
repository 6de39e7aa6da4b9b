//! The PROXY protocol, versions 1 and 2: on a listener that asks for it, each connection begins with a header in which the
//! load balancer names its client. See <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>.
//!
//! Only addresses in `server.trusted_proxies` may say so: any other is turned away before a byte of it is read. The checksum
//! that version 2 may have is not checked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::forwarded::TrustedProxies;
use crate::base::{LogRateLimit, clock};
use crate::http::connection::ClientAddr;
use crate::telemetry::Metrics;

/// How the two versions begin. No header is shorter than the longer of them.
const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, with its line end.
const V1_BYTES_MAX: usize = 107;

/// The length of a header of version 2 before its addresses; its last two bytes tell how much follows.
const V2_HEAD_BYTES: usize = 16;

/// What may follow in version 2: the addresses take 216 bytes at most, and the rest is for what else the proxy tells.
const V2_REST_BYTES_MAX: usize = 4 << 10;

/// Connections whose header is being read. They are open files beside those of `server.connections_max`. Beyond it the one
/// that has waited longest gives way: silent connections keep nobody out whose header comes.
pub const READING_MAX: usize = 128;

/// Why a connection is turned away.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error(
        "this listener takes connections only from load balancers in server.trusted_proxies, with a PROXY protocol header: \
         use another listener, or add the address there"
    )]
    Untrusted,
    #[error("too many connections whose PROXY protocol header has not come yet")]
    TooMany,
    #[error("no PROXY protocol header has come within server.header_timeout")]
    Late,
    #[error(
        "this listener takes only connections that begin with a PROXY protocol header of version 1 or 2 (send-proxy-v2, \
         proxy_protocol on): turn it on in the load balancer, or remove ?proxy_protocol from the URL in listen"
    )]
    Malformed,
    #[error(
        "the PROXY protocol header has {0} bytes after its first {V2_HEAD_BYTES}, more than {V2_REST_BYTES_MAX}: have the load \
         balancer send fewer of its own values (TLVs)"
    )]
    TooLong(usize),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whether a connection begins with a header.
pub fn is_proxy_header(begin: &[u8]) -> bool {
    begin.starts_with(V1) || begin.starts_with(V2)
}

/// Reads the headers of all listeners that ask for them.
pub struct ProxyHeaders {
    trusted: TrustedProxies,
    timeout: Duration,
    reading: Reading,
    pace: LogRateLimit,
    metrics: Arc<Metrics>,
}

impl ProxyHeaders {
    pub fn new(trusted: TrustedProxies, timeout: Duration, metrics: Arc<Metrics>) -> Arc<ProxyHeaders> {
        Arc::new(ProxyHeaders { trusted, timeout, reading: Reading::default(), pace: LogRateLimit::new(1), metrics })
    }

    /// Reads the header. The client that it names, or the peer itself where the proxy speaks for itself, as in health checks.
    pub async fn client(&self, stream: &mut TcpStream, peer: ClientAddr) -> Result<ClientAddr, ProxyHeaderError> {
        self.read(stream, peer).await.inspect_err(|error| {
            self.metrics.proxy_headers_refused.inc();
            if let Some(held_back) = self.pace.admit(clock::process_age()) {
                let address = peer.ip;
                tracing::warn!(%address, held_back, "a connection from {address} is refused: {error}");
            }
        })
    }

    async fn read(&self, stream: &mut TcpStream, peer: ClientAddr) -> Result<ClientAddr, ProxyHeaderError> {
        if !self.trusted.trust(peer.ip) {
            return Err(ProxyHeaderError::Untrusted);
        }
        let mut place = self.reading.take_place();
        let header = tokio::select! {
            biased;
            header = timeout(self.timeout, read_header(stream)) => header.map_err(|_| ProxyHeaderError::Late)??,
            _ = &mut place.taken_away => return Err(ProxyHeaderError::TooMany),
        };
        named_client(&header, peer)
    }
}

/// The connections whose header is being read, by their number: the oldest first.
#[derive(Default)]
struct Reading(Mutex<(u64, BTreeMap<u64, oneshot::Sender<Infallible>>)>);

/// One of them.
struct Place<'a> {
    reading: &'a Reading,
    number: u64,
    /// Resolves when a newer connection needs the place.
    taken_away: oneshot::Receiver<Infallible>,
}

impl Reading {
    fn take_place(&self) -> Place<'_> {
        let (keeps, taken_away) = oneshot::channel();
        let mut reading = self.0.lock();
        let (next, all) = &mut *reading;
        let number = *next;
        *next += 1;
        all.insert(number, keeps);
        if all.len() > READING_MAX {
            all.pop_first();
        }
        Place { reading: self, number, taken_away }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.reading.0.lock().1.remove(&self.number);
    }
}

/// All bytes of the header, and none that follows.
async fn read_header(stream: &mut TcpStream) -> Result<Vec<u8>, ProxyHeaderError> {
    let mut header = vec![0; V2.len()];
    stream.read_exact(&mut header).await?;
    if header == V2 {
        header.resize(V2_HEAD_BYTES, 0);
        stream.read_exact(&mut header[V2.len()..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[V2_HEAD_BYTES - 2], header[V2_HEAD_BYTES - 1]]));
        if rest > V2_REST_BYTES_MAX {
            return Err(ProxyHeaderError::TooLong(rest));
        }
        header.resize(V2_HEAD_BYTES + rest, 0);
        stream.read_exact(&mut header[V2_HEAD_BYTES..]).await?;
        return Ok(header);
    }
    if !header.starts_with(V1) {
        return Err(ProxyHeaderError::Malformed);
    }
    read_line(stream, header).await
}

/// The rest of a header of version 1, which a line feed ends.
async fn read_line(stream: &mut TcpStream, mut header: Vec<u8>) -> Result<Vec<u8>, ProxyHeaderError> {
    while !header.ends_with(b"\n") {
        let mut begin = [0; V1_BYTES_MAX];
        let seen = stream.peek(&mut begin[header.len()..]).await?;
        if seen == 0 {
            // The connection has ended, or the line is too long.
            return Err(ProxyHeaderError::Malformed);
        }
        let part = &begin[header.len()..][..seen];
        let taken = part.iter().position(|byte| *byte == b'\n').map_or(seen, |at| at + 1);
        let before = header.len();
        header.resize(before + taken, 0);
        stream.read_exact(&mut header[before..]).await?;
    }
    Ok(header)
}

fn named_client(header: &[u8], peer: ClientAddr) -> Result<ClientAddr, ProxyHeaderError> {
    let parsed = ProxyHeader::parse(header, ParseConfig::default());
    let (header, _) = parsed.ok().filter(|(_, read)| *read == header.len()).ok_or(ProxyHeaderError::Malformed)?;
    let ip = header.proxied_address().map_or(peer.ip, |address| address.source.ip().to_canonical());
    let https = header.ssl().map_or(peer.https, |tls| tls.client_ssl());
    Ok(ClientAddr { ip, https: peer.https || https })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy_header::{ProxiedAddress, SslInfo, Tlv};
    use std::net::{IpAddr, SocketAddr};

    fn named(header: &[u8]) -> Option<(String, bool)> {
        let peer = ClientAddr { ip: IpAddr::from([10, 0, 0, 9]), https: false };
        named_client(header, peer).ok().map(|client| (client.ip.to_string(), client.https))
    }

    fn version_2(source: &str, tls: Option<bool>) -> Vec<u8> {
        let destination: SocketAddr =
            if source.starts_with('[') { "[::1]:1" } else { "10.0.0.1:1" }.parse().expect("one");
        let source = source.parse().expect("an address");
        let mut header = ProxyHeader::with_address(ProxiedAddress::stream(source, destination));
        if let Some(client_ssl) = tls {
            header.append_tlv(Tlv::Ssl(SslInfo::new(client_ssl, false, false, 0)));
        }
        let mut bytes = Vec::new();
        header.encode_v2(&mut bytes).expect("it fits");
        bytes
    }

    #[test]
    fn header_names_the_client_in_both_versions() {
        let named = |header: &[u8]| named(header).expect("a good header");
        for (header, ip) in [
            (&b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 8443\r\n"[..], "192.0.2.1"),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 8443\r\n", "2001:db8::1"),
            (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 8443\r\n", "192.0.2.1"),
            (b"PROXY UNKNOWN\r\n", "10.0.0.9"),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 1\r\n", "10.0.0.9"),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "10.0.0.9"),
        ] {
            assert_eq!(named(header), (ip.to_owned(), false), "{}", header.escape_ascii());
        }
        assert_eq!(named(&version_2("192.0.2.1:4711", None)), ("192.0.2.1".to_owned(), false));
        assert_eq!(named(&version_2("[2001:db8::1]:4711", Some(true))), ("2001:db8::1".to_owned(), true));
        assert_eq!(named(&version_2("192.0.2.1:4711", Some(false))), ("192.0.2.1".to_owned(), false));
    }

    #[tokio::test]
    async fn silent_connections_keep_nobody_out_and_the_oldest_gives_way() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let trusted = TrustedProxies::new(vec!["127.0.0.0/8".parse().expect("a network")]);
        let headers = ProxyHeaders::new(trusted, Duration::from_secs(600), Arc::new(Metrics::default()));
        let (mut clients, mut served) = (Vec::new(), tokio::task::JoinSet::new());
        for number in 0..=READING_MAX {
            clients.push(TcpStream::connect(address).await.expect("connected"));
            let ((mut stream, from), headers) = (listener.accept().await.expect("accepted"), Arc::clone(&headers));
            let peer = ClientAddr { ip: from.ip(), https: false };
            served.spawn(async move { (number, headers.client(&mut stream, peer).await.map(|client| client.ip)) });
            // It has its place before the next one comes.
            tokio::task::yield_now().await;
        }
        let ended =
            |ended: Option<Result<(usize, Result<IpAddr, ProxyHeaderError>), _>>| ended.expect("one").expect("it ends");
        let (first, refused) = ended(served.join_next().await);
        assert!(first == 0 && matches!(refused, Err(ProxyHeaderError::TooMany)), "{first} {refused:?}");
        for number in [READING_MAX, 1] {
            tokio::io::AsyncWriteExt::write_all(&mut clients[number], b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n")
                .await
                .expect("sent");
            let (named, client) = ended(served.join_next().await);
            assert!(
                named == number && client.as_ref().is_ok_and(|ip| *ip == IpAddr::from([192, 0, 2, 1])),
                "{client:?}"
            );
        }
        served.shutdown().await;
        assert_eq!(headers.reading.0.lock().1.len(), 0, "who has left has no place");
    }

    #[test]
    fn broken_header_is_refused() {
        for header in [
            &b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n"[..],
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 8443\n",
            b"PROXY TCP4 192.0.2.256 10.0.0.1 4711 8443\r\n",
            b"PROXY TCP4 2001:db8::1 ::1 4711 8443\r\n",
            b"PROXY TCP9 192.0.2.1 10.0.0.1 4711 8443\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\x20\xfb",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\xc0\0\x02\x01",
        ] {
            assert_eq!(named(header), None, "{}", header.escape_ascii());
        }
    }
}
