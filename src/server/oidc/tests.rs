//! Fetches from servers that lie, stall and send too much.

use super::fetch::{Fetched, Source};
use crate::base::named_file::make_pipe;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Answers each request with what `answer` writes; stops when the test ends.
async fn server<F: Future<Output = std::io::Result<()>> + Send>(
    answer: impl Fn(TcpStream, String) -> F + Clone + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or_default();
                // A client that leaves in between is what some tests are about.
                let _ = answer(stream, String::from_utf8_lossy(&head[..length]).into_owned()).await;
            });
        }
    });
    url
}

fn source(keys_url: &str, more: serde_json::Value) -> Source {
    let mut settings = serde_json::json!({
        "issuer": "https://issuer.example", "audience": "x", "jwks_url": keys_url,
        "rules": [{"claims": {"sub": "x"}, "role": "client"}]
    });
    settings.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
    Source::of(&serde_json::from_value(settings).expect("settings"))
}

/// The whole fetch, within the bound that the caller has.
async fn fetched(url: &str) -> Result<Fetched, String> {
    let source = source(url, serde_json::json!({}));
    tokio::time::timeout(Duration::from_secs(60), source.fetch()).await.unwrap_or_else(|_| Err("timed out".to_owned()))
}

async fn failure(head: &'static str, body: &'static [u8]) -> String {
    let url = server(move |mut stream, _| async move {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await
    });
    fetched(&url.await).await.err().expect("a failure")
}

const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn answers_that_hold_no_keys_are_told() {
    for (head, body, told) in [
        (OK, b"<html>".as_slice(), "no JWK set"),
        (OK, b"", "no JWK set"),
        ("HTTP/1.1 500 Oops\r\nconnection: close\r\n\r\n", b"{\"keys\": []}", "answered 500"),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", b"", "answered 302"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", b"{\"keys\": []}", "127.0.0.1"),
        ("SSH-2.0-x\r\n", b"", "127.0.0.1"),
    ] {
        let why = failure(head, body).await;
        assert!(why.contains(told), "{told}: {why}");
    }
    let why = fetched("http://127.0.0.1:1/keys").await.err().expect("nobody listens");
    assert!(why.starts_with("http://127.0.0.1:1/keys: ") && why.contains("refused"), "{why}");
}

#[tokio::test]
async fn endless_answer_is_cut_at_its_bound() {
    let url = server(|mut stream, _| async move {
        stream.write_all(OK.as_bytes()).await?;
        loop {
            stream.write_all(&[b' '; 16 << 10]).await?;
        }
    });
    assert!(fetched(&url.await).await.err().expect("a failure").contains("longer than 262144 bytes"));
}

#[tokio::test(start_paused = true)]
async fn answer_that_stalls_or_drips_is_given_up() {
    let silent = server(|_stream, _| std::future::pending::<std::io::Result<()>>()).await;
    let dripping = server(|mut stream, _| async move {
        stream.write_all(OK.as_bytes()).await?;
        loop {
            stream.write_all(b" ").await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    for url in [silent, dripping.await] {
        let given_up = super::refresh::fetch(&source(&url, serde_json::json!({}))).await;
        given_up.err().expect("a failure");
    }
}

#[tokio::test]
async fn keys_freshness_and_own_token_are_exchanged() {
    let folder = tempfile::tempdir().expect("a directory");
    let token = folder.path().join("token");
    std::fs::write(&token, "own-token\n").expect("written");
    let url = server(|mut stream, head: String| async move {
        let is_known = head.contains("authorization: Bearer own-token\r\n");
        let status = if is_known { "200 OK\r\ncache-control: max-age=7" } else { "401 Unauthorized" };
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 11\r\n\r\n{{\"keys\":[]}}").as_bytes()).await
    })
    .await;
    assert!(fetched(&url).await.err().expect("no token").contains("answered 401"));
    let source = source(&url, serde_json::json!({"token_file": token}));
    let fetched = source.fetch().await.expect("keys");
    assert_eq!((fetched.keys.len(), fetched.fresh_for), (0, Some(Duration::from_secs(7))));
    std::fs::remove_file(&token).expect("removed");
    assert!(source.fetch().await.err().expect("no file").contains("cannot be used"));
}

#[tokio::test]
async fn file_of_authorities_must_hold_one() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("ca.pem");
    let why = |file: &std::path::Path| {
        let source = source("https://127.0.0.1:1/", serde_json::json!({"ca_file": file}));
        async move { source.fetch().await.err().expect("a failure") }
    };
    assert!(why(&file).await.contains("ca.pem cannot be used"));
    std::fs::write(&file, "no certificate").expect("written");
    assert!(why(&file).await.contains("no PEM certificate"));
    let pipe = folder.path().join("pipe");
    make_pipe(&pipe);
    assert!(why(&pipe).await.contains("pipe cannot be used: it is not a regular file"));
}
