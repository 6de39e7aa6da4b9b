//! A body or head that is too large, too slow or broken gets an answer that its client can read.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::post;
use latchd::http::body::{BodyError, BodyLimits, read};

use super::raw::{Answer, Raw};
use super::rig::Rig;

fn router() -> Router {
    let limits = BodyLimits { bytes_max: 1_000, timeout: Duration::from_millis(300) };
    let answer = move |body: Body| async move {
        match read(body, limits).await {
            Ok(body) => (StatusCode::OK, format!("{} bytes", body.len())),
            Err(error @ BodyError::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            Err(error @ BodyError::Timeout { .. }) => (StatusCode::REQUEST_TIMEOUT, error.to_string()),
            Err(error @ BodyError::Disconnected) => (StatusCode::BAD_REQUEST, error.to_string()),
        }
    };
    let unread = || async { (StatusCode::UNAUTHORIZED, "who are you") };
    Router::new().route("/", post(answer)).route("/unread", post(unread))
}

async fn post_raw(rig: &Rig, request: &[u8], tls: bool) -> Answer {
    let mut connection = rig.connect(tls).await;
    connection.send(request).await;
    connection.answer().await
}

fn head(path: &str, framing: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nhost: t\r\n{framing}\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn body_within_its_limits_is_read() {
    let rig = Rig::start(router(), &[]);
    let mut whole = head("/", "content-length: 1000");
    whole.extend([b'x'; 1_000]);
    assert_eq!(post_raw(&rig, &whole, false).await.body, "1000 bytes");
    let mut chunked = head("/", "transfer-encoding: chunked");
    chunked.extend(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(post_raw(&rig, &chunked, true).await.body, "5 bytes");
}

#[tokio::test]
async fn oversized_body_is_answered_after_full_upload() {
    let rig = Rig::start(router(), &[]);
    for (path, framing, body) in [
        ("/", "content-length: 12000000".to_owned(), vec![b'x'; 12_000_000]),
        (
            "/",
            "transfer-encoding: chunked".to_owned(),
            [&b"b71b00\r\n"[..], &[b'x'; 12_000_000], b"\r\n0\r\n\r\n"].concat(),
        ),
        ("/unread", "content-length: 12000000".to_owned(), vec![b'x'; 12_000_000]),
    ] {
        for tls in [false, true] {
            let request = [head(path, &framing), body.clone()].concat();
            let mut connection = rig.connect(tls).await;
            connection.try_send(&request).await.expect("the server takes what it will not read");
            let answer = connection.answer().await;
            if path == "/" {
                assert_eq!((answer.status, answer.body.as_str()), (413, "the body is larger than 1000 bytes"));
            } else {
                assert_eq!((answer.status, answer.body.as_str()), (401, "who are you"));
            }
        }
    }
}

#[tokio::test]
async fn expect_continue_is_refused_before_the_body() {
    let rig = Rig::start(router(), &[]);
    let answer = post_raw(&rig, &head("/", "content-length: 2000\r\nexpect: 100-continue"), false).await;
    assert_eq!(answer.status, 413);
    let mut connection = rig.plain().await;
    connection.send(head("/", "content-length: 2\r\nexpect: 100-continue")).await;
    assert_eq!(connection.answer().await.status, 100);
    connection.send("ab").await;
    assert_eq!(connection.answer().await.body, "2 bytes");
}

#[tokio::test]
async fn stalled_body_is_answered_408() {
    let rig = Rig::start(router(), &[]);
    for tls in [false, true] {
        let request = [head("/", "content-length: 10"), b"abc".to_vec()].concat();
        let answer = post_raw(&rig, &request, tls).await;
        assert_eq!((answer.status, answer.body.as_str()), (408, "the body did not arrive within 300ms"));
    }
}

#[tokio::test]
async fn broken_chunks_are_answered() {
    let rig = Rig::start(router(), &[]);
    let request = [head("/", "transfer-encoding: chunked"), b"zz\r\nabc\r\n".to_vec()].concat();
    assert_eq!(post_raw(&rig, &request, false).await.status, 400);
}

#[tokio::test]
async fn oversized_or_malformed_head_gets_an_answer() {
    let rig = Rig::start(router(), &[("server.header_bytes_max", "16KiB")]);
    let large = |bytes: usize| format!("GET / HTTP/1.1\r\nhost: t\r\nx: {}\r\n\r\n", "y".repeat(bytes));
    let many: String = (0..200).map(|number| format!("h{number}: v\r\n")).collect();
    for (request, status) in [
        (large(20_000), 431),
        (large(1_000_000), 431),
        (format!("GET / HTTP/1.1\r\nhost: t\r\n{many}\r\n"), 431),
        (format!("GET /{} HTTP/1.1\r\nhost: t\r\n\r\n", "y".repeat(15_000)), 404),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), 400),
        ("hello\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nhost: t\r\ncontent-length: many\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), 400),
    ] {
        for tls in [false, true] {
            let answer = post_raw(&rig, request.as_bytes(), tls).await;
            assert_eq!(answer.status, status, "{} bytes, tls {tls}: {answer:?}", request.len());
            let naming = match status {
                431 => "16384 bytes long, in at most 100 fields (server.header_bytes_max)",
                400 => "no HTTP request that can be read",
                _ => "",
            };
            assert!(answer.body.contains(naming), "{} bytes, tls {tls}: {answer:?}", request.len());
            assert_eq!(answer.body.contains("head-too-large"), status == 431, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn proxy_protocol_header_gets_an_explanation() {
    let rig = Rig::start(router(), &[]);
    let request = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n";
    let v1 = [&b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 8443\r\n"[..], request].concat();
    let v2 = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x02\x12\x67\x20\xfb"[..], request].concat();
    for header in [v1, v2] {
        // Before TLS, inside of it, and without.
        for (scheme, tls) in [("https", false), ("https", true), ("http", false)] {
            let mut connection = match (scheme, tls) {
                ("https", false) => Raw::plain(rig.https()).await,
                _ => rig.connect(tls).await,
            };
            connection.send(&header).await;
            let answer = connection.answer().await;
            assert_eq!(answer.status, 400, "{scheme}, tls {tls}: {answer:?}");
            assert!(answer.body.contains("PROXY protocol"), "{scheme}, tls {tls}: {answer:?}");
            assert!(answer.body.contains("server.trusted_proxies"), "{scheme}, tls {tls}: {answer:?}");
        }
    }
}

/// Heads and bodies that `/unread` does not read, and whether each also comes at once with its head.
fn ignored() -> [(&'static str, Vec<u8>, bool); 4] {
    [
        ("content-length: 5", b"abcde".to_vec(), true),
        ("transfer-encoding: chunked", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec(), true),
        ("content-length: 100000", vec![b'x'; 100_000], true),
        ("transfer-encoding: chunked", [&b"186a0\r\n"[..], &[b'x'; 100_000], b"\r\n0\r\n\r\n"].concat(), false),
    ]
}

#[tokio::test]
async fn ignored_body_keeps_the_connection() {
    let rig = Rig::start(router(), &[("server.header_timeout", "300ms")]);
    for (framing, body, also_at_once) in ignored() {
        for tls in [false, true] {
            let mut connection = rig.connect(tls).await;
            for late in [true, !also_at_once, true] {
                let mut request = head("/unread", framing);
                if !late {
                    request.extend(&body);
                }
                connection.send(&request).await;
                let answer = connection.answer().await;
                assert_eq!(answer.status, 401);
                assert!(!answer.head.contains("connection: close"), "{framing}, late {late}: {}", answer.head);
                if late {
                    // In two parts, with a pause that is no part of a head.
                    let (first, second) = body.split_at(2);
                    connection.send(first).await;
                    tokio::time::sleep(Duration::from_millis(700)).await;
                    connection.send(second).await;
                }
                // An idle connection lives on.
                tokio::time::sleep(Duration::from_millis(700)).await;
                let mut whole = head("/", "content-length: 2");
                whole.extend(b"ab");
                connection.send(&whole).await;
                assert_eq!(connection.answer().await.body, "2 bytes", "{framing}, late {late}");
            }
        }
    }
}

#[tokio::test]
async fn early_answer_announces_connection_close() {
    let rig = Rig::start(router(), &[]);
    let chunked = [&b"b71b00\r\n"[..], &[b'x'; 12_000_000], b"\r\n0\r\n\r\n"].concat();
    for (path, framing, body, status) in [
        ("/unread", "content-length: 12000000", vec![b'x'; 12_000_000], 401),
        ("/unread", "content-length: 12000000", Vec::new(), 401),
        ("/unread", "transfer-encoding: chunked", chunked.clone(), 401),
        ("/unread", "content-length: 5\r\nexpect: 100-continue", Vec::new(), 401),
        ("/", "content-length: 12000000", Vec::new(), 413),
        ("/", "transfer-encoding: chunked", chunked, 413),
        ("/", "content-length: 2000\r\nexpect: 100-continue", Vec::new(), 413),
        ("/", "content-length: 10", b"abc".to_vec(), 408),
        ("/", "transfer-encoding: chunked", b"zz\r\nabc\r\n".to_vec(), 400),
    ] {
        for tls in [false, true] {
            let mut connection = rig.connect(tls).await;
            connection.send([head(path, framing), body.clone()].concat()).await;
            let answer = connection.answer().await;
            assert_eq!(answer.status, status, "{path} {framing}");
            assert!(answer.head.contains("connection: close"), "{path} {framing}: {}", answer.head);
        }
    }
}
