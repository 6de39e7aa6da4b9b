//! Listeners whose connections begin with a header of the PROXY protocol.

use axum::routing::get;
use axum::{Extension, Router};
use latchd::http::connection::ClientInfo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::raw::Raw;
use super::rig::{PATIENCE, Rig};
use crate::support::certificate;

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 8443\r\n";
/// Of 2001:db8::1, with the mark that the client speaks TLS with the proxy.
const V2_TLS: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x2c\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x67\x20\xfb\
                       \x20\0\x05\x01\0\0\0\0";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn rig(trusted: &str, more: &[(&str, &str)]) -> Rig {
    let tell =
        |Extension(peer): Extension<ClientInfo>| async move { format!("{} {}", peer.client.ip, peer.client.https) };
    let listen = "https://127.0.0.1:0?proxy_protocol,http://127.0.0.1:0?proxy_protocol";
    let settings = [("listen", listen), ("server.trusted_proxies", trusted), ("access.allow_anonymous", "true")];
    Rig::start(Router::new().route("/", get(tell)), &[&settings, more].concat())
}

/// A plain connection after these bytes.
async fn after(rig: &Rig, header: &[u8]) -> Raw {
    let mut connection = rig.plain().await;
    connection.send(header).await;
    connection
}

#[tokio::test]
async fn header_names_the_client_of_a_connection() {
    let rig = rig("127.0.0.1", &[]);
    for (header, seen) in [(V1, "192.0.2.1 false"), (V2_TLS, "2001:db8::1 true"), (LOCAL, "127.0.0.1 false")] {
        let mut connection = after(&rig, header).await;
        // Of every request on it, whatever it says itself.
        for _ in 0..2 {
            connection.send("GET / HTTP/1.1\r\nhost: t\r\nx-forwarded-for: 6.6.6.6\r\n\r\n").await;
            let expected = if header == LOCAL { "6.6.6.6 false" } else { seen };
            assert_eq!(connection.answer().await.body, expected);
        }
    }
    let mut stream = TcpStream::connect(rig.https()).await.expect("a connection");
    stream.write_all(V1).await.expect("sent");
    let mut tls = Raw::tls_over(stream, certificate::client_config()).await.expect("a handshake");
    assert_eq!(tls.get("/").await.body, "192.0.2.1 true");
}

#[tokio::test]
async fn header_that_comes_byte_by_byte_is_read_whole() {
    let rig = rig("127.0.0.1", &[]);
    for header in [V1, V2_TLS] {
        let mut connection = rig.plain().await;
        for byte in [header, b"GET / HTTP/1.1\r\nhost: t\r\n\r\n"].concat() {
            connection.send([byte]).await;
        }
        assert!(connection.answer().await.body.contains("1 "), "{}", header.escape_ascii());
    }
}

#[tokio::test]
async fn connection_without_a_good_header_is_refused() {
    let rig = rig("127.0.0.1", &[("server.header_timeout", "300ms")]);
    let long = [b"PROXY TCP6 ".as_slice(), &[b'f'; 200]].concat();
    let beyond = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    for (header, why) in [
        (&b"GET / HTTP/1.1\r\nhost: t\r\n\r\n"[..], "only connections that begin with a PROXY protocol header"),
        (&long, "only connections that begin with a PROXY protocol header"),
        (beyond, "after its first 16, more than 4096"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 8443 and more\r\n", "only connections that begin with"),
        (&V1[..20], "server.header_timeout"),
        (&V2_TLS[..30], "server.header_timeout"),
        (b"", "server.header_timeout"),
    ] {
        let answer = after(&rig, header).await.answer().await;
        assert!(answer.status == 400 && answer.body.contains(why), "{}: {answer:?}", header.escape_ascii());
    }
    let twice = after(&rig, &[V1, V1].concat()).await.answer().await;
    assert!(twice.status == 400 && twice.body.contains("PROXY protocol"), "{twice:?}");
    assert_eq!(rig.metric("latchd_proxy_headers_refused_total"), "7");
    assert_eq!(rig.metric("latchd_tls_failures_total"), "0");
}

#[tokio::test]
async fn header_from_elsewhere_is_refused_unread() {
    let rig = rig("10.0.0.0/8", &[]);
    let answer = after(&rig, V1).await.answer().await;
    assert!(answer.status == 400 && answer.body.contains("server.trusted_proxies"), "{answer:?}");
    let mut tls = Raw::plain(rig.https()).await;
    tls.send(V1).await;
    assert_eq!(tokio::time::timeout(PATIENCE, tls.until_closed()).await.expect("in time"), "");
}

#[tokio::test]
async fn headers_that_do_not_come_leave_room_for_others() {
    let rig = rig("127.0.0.1", &[]);
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(after(&rig, b"PROXY ").await);
    }
    // Those beyond the bound are refused at once.
    silent.last_mut().expect("some").until_closed().await;
    drop(silent);
    // The server notices their ends in its own time.
    let request = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n";
    while after(&rig, &[V1, request].concat()).await.try_answer().await.is_none_or(|answer| answer.status != 200) {}
}
