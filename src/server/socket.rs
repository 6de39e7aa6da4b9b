//! Options of our sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;

/// Connections the kernel may hold for us while we are busy; the kernel cuts it to its own bound.
const BACKLOG: i32 = 4096;

/// A silent peer is probed after 20 s and then every 5 s. 20 s + 5 * 5 s = 45 s, which is also how long bytes we sent
/// may stay unacknowledged: so a dead peer is noticed within 45 s whether or not anything is on its way to it.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 5;
const USER_TIMEOUT: Duration = Duration::from_secs(45);

/// A listening socket, ready for the runtime. `only_v6` leaves connections over IPv4 to another listener.
pub fn listen(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of the process before.
    socket.set_reuse_address(true)?;
    if only_v6 {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What the kernel takes of an answer beyond what the client has room for; its own bound is some megabytes a connection.
const UNSENT_BYTES_MAX: u32 = 64 << 10;

/// Drops packets that ask for a connection (SYN without ACK), and takes all others. Classic BPF: load the flags of the
/// TCP header, mask those two, compare, and tell how much of the packet to keep.
const ALL_BUT_SYN: [SockFilter; 5] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x54, 0, 0, 0x12),
    SockFilter::new(0x15, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// Lets no new connection begin. Closing a listener resets the connections that wait in its queue, with whatever
/// request their clients have sent; a client whose first packet is lost asks again, and is refused before it sends any.
pub fn turn_away(listener: &TcpListener) {
    if let Err(error) = SockRef::from(listener).attach_filter(&ALL_BUT_SYN) {
        tracing::debug!(%error, "connections that begin now may be reset");
    }
}

/// Prepares an accepted connection: answers leave at once, and a dead peer is noticed.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    // Some kernels and sandboxes lack it: they buffer more.
    let _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// What is half open or waits in the queue is taken; what begins now is not.
    #[test]
    fn closing_listener_keeps_connections_and_accepts_no_more() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = listen(address.parse().expect("an address"), false).expect("a free port");
            let bound = listener.local_addr().expect("bound");
            let mut waits = std::net::TcpStream::connect(bound).expect("a connection");
            turn_away(&listener);
            waits.write_all(b"sent before it was accepted").expect("sent");
            let begins = std::net::TcpStream::connect_timeout(&bound, Duration::from_millis(200));
            assert_eq!(begins.map_err(|error| error.kind()).expect_err("no answer"), io::ErrorKind::TimedOut);
            let (mut stream, _) = listener.accept().expect("it waits in the queue");
            drop(listener);
            let mut request = [0; 27];
            stream.set_nonblocking(false).expect("set");
            stream.read_exact(&mut request).expect("its request arrives");
            assert_eq!(request, *b"sent before it was accepted");
            let refused = std::net::TcpStream::connect(bound).expect_err("nobody listens");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[tokio::test]
    async fn accepted_connection_has_its_socket_options() {
        let listener = listen(([127, 0, 0, 1], 0).into(), false).expect("a free port");
        let _client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let listener = tokio::net::TcpListener::from_std(listener).expect("in the runtime");
        let (stream, _) = listener.accept().await.expect("accepted");
        prepare(&stream).expect("the options are known");
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("asked") && socket.keepalive().expect("asked"));
        let probing = socket.tcp_keepalive_interval().expect("asked") * socket.tcp_keepalive_retries().expect("asked");
        assert_eq!(socket.tcp_keepalive_time().expect("asked") + probing, Duration::from_secs(45));
        assert_eq!(socket.tcp_user_timeout().expect("asked"), Some(Duration::from_secs(45)));
    }
}
