//! A body or head that is too large, too slow or broken gets an answer that its client can read.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::routing::post;
use latchd::dialects::body::{BodyError, BodyLimits, read};

use super::raw::Answer;
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
async fn a_body_within_its_bounds_is_read() {
    let rig = Rig::start(router(), &[]);
    let mut whole = head("/", "content-length: 1000");
    whole.extend([b'x'; 1_000]);
    assert_eq!(post_raw(&rig, &whole, false).await.body, "1000 bytes");
    let mut chunked = head("/", "transfer-encoding: chunked");
    chunked.extend(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(post_raw(&rig, &chunked, true).await.body, "5 bytes");
}

#[tokio::test]
async fn an_oversized_body_is_answered_even_to_a_client_that_sends_all_of_it_first() {
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
async fn a_client_that_asks_first_is_refused_before_it_sends() {
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
async fn a_body_that_stops_arriving_is_answered_408() {
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
async fn an_oversized_or_malformed_head_is_answered() {
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
        }
    }
}
