//! Answers of another server, of a proxy, or to another request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use latchd::client::{Client, ClientError, LockRequest};

use serde_json::{Value, json};

use super::holds::{take, worker};
use super::operate::{KEY, server};
use crate::pages::names::AWKWARD;
use crate::support::process::run_to_end;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// Gives every request the same answer.
fn answers(status: u16, content_type: &'static str, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || serve(&connection, status, content_type, body));
        }
    });
    address
}

fn serve(connection: &TcpStream, status: u16, content_type: &str, body: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        let head = format!("HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
        (&mut &*connection).write_all(format!("{head}\r\n{body}").as_bytes())?;
    }
}

#[test]
fn foreign_404_is_not_taken_for_a_free_lock() {
    for (content_type, body) in [
        ("text/html", "<html>404 Not Found</html>"),
        ("text/plain", "404 page not found"),
        (JSON, "{\"error\":\"Not Found\"}"),
        (JSON, "{\"code\":5,\"message\":\"Not Found\",\"details\":[]}"),
        (PROBLEM, "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404}"),
        (PROBLEM, "{\"type\":\"/docs/errors#not-found\",\"code\":\"not-found\",\"detail\":\"there is nothing here\"}"),
        (JSON, ""),
    ] {
        let url = format!("http://{}", answers(404, content_type, body));
        for how in [&["--key", "x"][..], &["--all"], &[]] {
            let told = run_to_end(&[&["unlock", "a/b", "--force", "--reason", "r", "--url", &url], how].concat());
            assert_eq!(told.status.code(), Some(1), "{body:?}: {}", told.stderr);
            assert!(told.stderr.contains("404") && !told.stderr.contains("nobody holds"), "{body:?}: {}", told.stderr);
            assert_eq!(told.stdout, "");
        }
    }
}

#[test]
fn wrong_url_prefix_is_no_free_lock() {
    let server = server();
    let url = format!("http://{}/locks", server.http());
    for command in
        [&["unlock", "a", "--force", "--reason", "r"][..], &["locks", "a"], &["locks"], &["watch", "a"], &["thaw", "a"]]
    {
        let told = run_to_end(&[command, &["--url", &url, "--api-key", KEY]].concat());
        assert!(!told.status.success(), "{command:?}: {}", told.stdout);
        assert!(told.stderr.contains("there is nothing at /locks/v1/"), "{command:?}: {}", told.stderr);
        assert!(!told.stderr.contains("nobody holds") && !told.stderr.contains("nothing is held"), "{}", told.stderr);
    }
}

#[test]
fn catch_all_page_is_not_the_service() {
    let url = format!("http://{}", answers(200, "text/html", "<html>Welcome to our balancer</html>"));
    for command in [
        &["health"][..],
        &["locks"],
        &["locks", "a"],
        &["watch", "a"],
        &["sessions"],
        &["freezes"],
        &["thaw", "a"],
        &["members", "list"],
        &["unlock", "a", "--force", "--reason", "r"],
        &["unlock", "a", "--key", "k"],
        &["lock", "a", "--", "true"],
    ] {
        let told = run_to_end(&[&command[..1], &["--url", &url], &command[1..]].concat());
        assert!(!told.status.success(), "{command:?}: {}", told.stdout);
        assert!(["answered", "sent a"].iter().any(|word| told.stderr.contains(word)), "{command:?}: {}", told.stderr);
    }
}

#[test]
fn listing_of_other_locks_is_refused() {
    let others = r#"{"locks":[{"name":"other","size":1,"queue_length":0,"holders":[]}],"next_cursor":null}"#;
    let url = format!("http://{}", answers(200, JSON, others));
    for command in [&["unlock", "a", "--force", "--reason", "r"][..], &["locks", "a"], &["locks", "--prefix", "a"]] {
        let told = run_to_end(&[command, &["--url", &url]].concat());
        assert!(told.stderr.contains("it shows other locks"), "{command:?}: {}", told.stderr);
    }
}

fn client(status: u16, body: &'static str) -> Client {
    let url = format!("http://{}", answers(status, JSON, body));
    let builder = Client::builder(&url).expect("a URL").retry_for(Duration::ZERO);
    builder.build().expect("a client")
}

#[tokio::test]
async fn answers_about_other_locks_are_refused() {
    let wrong = |error: ClientError| assert!(matches!(error, ClientError::WrongResponse { .. }), "{error}");
    let other = client(200, r#"{"locked":true,"name":"other","key":"k","fencing_token":7,"expires_in_seconds":30.0}"#);
    wrong(other.lock(&LockRequest::new("mine")).await.expect_err("of another lock"));
    wrong(other.acquire(&LockRequest::new("mine")).await.expect_err("of another lock"));
    wrong(other.renew("mine", "k", Duration::from_secs(9)).await.expect_err("of another lock"));
    wrong(other.renew("other", "mine", Duration::from_secs(9)).await.expect_err("of another hold"));
    let other = client(200, r#"{"unlocked":true,"name":"other"}"#);
    wrong(other.unlock("mine", "k").await.expect_err("of another lock"));
    let other = client(200, r#"{"name":"other","fencing_token":7,"waiter_granted":false}"#);
    wrong(other.force_release("mine", "k", "r").await.expect_err("of another lock"));
    let other = client(200, r#"{"locked":false,"name":"other","key":""}"#);
    wrong(other.renew("mine", "k", Duration::from_secs(9)).await.expect_err("of another lock"));
}

#[test]
fn locks_of_any_name_are_listed_and_unlocked() {
    let server = server();
    let url = format!("http://{}", server.http());
    let run =
        |command: &[&str]| run_to_end(&[&command[..1], &["--url", &url, "--api-key", KEY], &command[1..]].concat());
    for name in AWKWARD {
        let mut owner = worker(&server);
        take(&mut owner, json!({"name": name}));
        let shown = run(&["locks", "--output", "json", "--", name]);
        let shown: Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{}", shown.stderr));
        assert_eq!((shown["locks"].as_array().map(Vec::len), &shown["locks"][0]["name"]), (Some(1), &json!(name)));
        let ended = run(&["unlock", "--force", "--reason", "test", "--", name]);
        assert!(ended.stdout.starts_with(&format!("{name} is released")), "{name:?}: {}", ended.stderr);
        let free = run(&["locks", "--", name]);
        assert_eq!((&*free.stdout, free.status.code()), ("", Some(0)), "{}", free.stderr);
        assert!(free.stderr.contains(&format!("nobody holds {name:?} or waits for it")), "{}", free.stderr);
    }
    let hint = run(&["unlock", "-x", "--force", "--reason", "r"]).stderr;
    assert!(hint.contains("'-- -x'"), "{hint}");
}
