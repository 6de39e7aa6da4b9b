//! A page of somebody else's in a visitor's browser changes nothing; programs and our own pages go on as before.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// The status of one request that closes its connection; the text is sent as it is.
fn status(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.http()).expect("the server listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("the request is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn get(server: &Server, target: &str, headers: &str) -> String {
    status(server, &format!("GET {target} HTTP/1.1\r\n{headers}connection: close\r\n\r\n"))
}

/// Whether a client takes a free lock with these headers, in each dialect and by each method.
fn may_change(server: &Server, headers: &[(&str, &str)]) -> Vec<bool> {
    let dressed =
        || headers.iter().fold(Client::plain(server), |client, (name, value)| client.with_header(name, value));
    let by_url = dressed().get("/getlock?lockname=page&lifetime=0.001").status != 403;
    let session = dressed().send("POST", "/session", b"").status != 403;
    let json = dressed().send("POST", "/lock", br#"{"resource": "page", "ttl": 0.001}"#).status != 403;
    let by_name = dressed().send("DELETE", "/lock/page", b"").status != 403;
    let custom = dressed().send("LOCK", "/terraform/page", br#"{"ID": "x"}"#).status != 403;
    let grpc = dressed().send("POST", "/api.Api/RequestLock", b"").status != 403;
    vec![by_url, session, json, by_name, custom, grpc]
}

const NOTHING: [bool; 6] = [false; 6];
const EVERYTHING: [bool; 6] = [true; 6];

#[test]
fn cross_site_requests_change_nothing() {
    let server = Spec::in_memory().start();
    for headers in [
        &[("Sec-Fetch-Site", "cross-site")][..],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "navigate")],
        &[("Upgrade-Insecure-Requests", "1")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "file://")],
        &[("Origin", "http://127.0.0.1:1")],
        &[("Referer", "http://evil.example/page")],
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", "http://evil.example")],
    ] {
        assert_eq!(may_change(&server, headers), NOTHING, "{headers:?}");
    }
    let answer = Client::plain(&server).with_header("Origin", "https://evil.example").send("POST", "/session", b"");
    assert_eq!((answer.status, &answer.json()["code"]), (403, &"cross-site".into()), "{}", answer.text());
    assert_eq!(Client::plain(&server).get("/v1/locks").json()["locks"], serde_json::json!([]));
}

#[test]
fn requests_of_our_own_pages_and_of_programs_go_on() {
    let server = Spec::in_memory().start();
    // As the Host that these clients send.
    let (own, page) = ("http://localhost", "http://localhost/status?x=1");
    for headers in [
        &[][..],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Origin", own), ("Referer", page)],
        &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "no-cors")],
    ] {
        assert_eq!(may_change(&server, headers), EVERYTHING, "{headers:?}");
    }
    for reading in ["/", "/v1/locks", "/docs", "/lock/page", "/status?auth=x"] {
        let mut visitor = Client::plain(&server)
            .with_header("Sec-Fetch-Site", "cross-site")
            .with_header("Sec-Fetch-Mode", "navigate")
            .with_header("Upgrade-Insecure-Requests", "1");
        assert_ne!(visitor.get(reading).status, 403, "a link to {reading} works");
    }
}

#[test]
fn origin_matches_without_its_default_port() {
    let server = Spec::in_memory().start();
    for (host, origin, expected) in [
        ("locks", "https://locks", 201),
        ("locks:443", "https://locks", 201),
        ("LOCKS", "http://locks:80", 201),
        ("locks:8443", "https://locks", 403),
        ("locks", "https://locks:8443", 403),
    ] {
        let request = format!(
            "POST /session HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        assert_eq!(status(&server, &request), expected.to_string(), "{host} {origin}");
    }
}

#[test]
fn unknown_host_is_refused_without_credentials() {
    let anonymous = Spec::in_memory().configuration("[server]\nhosts = [\"locks.example.org\"]\n").start();
    let keyed = Spec::in_memory().api_key("a key of the tests").start();
    for (host, expected) in [
        ("127.0.0.1", "200"),
        ("[::1]:8080", "200"),
        ("localhost:8080", "200"),
        ("a.localhost", "200"),
        ("latchd-1:8443", "200"),
        ("locks.example.org", "200"),
        ("Locks.Example.Org.:443", "200"),
        ("evil.example", "421"),
        ("127.0.0.1.nip.example", "421"),
        ("xlocks.example.org", "421"),
    ] {
        assert_eq!(get(&anonymous, "/openapi.json", &format!("host: {host}\r\n")), expected, "{host}");
        assert_eq!(get(&keyed, "/openapi.json", &format!("host: {host}\r\n")), "200", "{host}, with credentials");
    }
}

#[test]
fn missing_or_repeated_host_is_a_bad_request() {
    let server = Spec::in_memory().start();
    for headers in
        ["", "host: a\r\nhost: b\r\n", "host: a\r\nhost: a\r\n", "host: \r\n", "host: u@a\r\n", "host: a b\r\n"]
    {
        assert_eq!(get(&server, "/livez", headers), "400", "{headers:?}");
    }
    for foreign in ["host: http://127.0.0.1\r\n", "host: ftp://a/\r\n"] {
        assert_eq!(get(&server, "/livez", foreign), "400", "{foreign:?}");
    }
    assert_eq!(get(&server, "ftp://127.0.0.1/livez", "host: 127.0.0.1\r\n"), "400");
    assert_eq!(get(&server, "http://127.0.0.1/livez", "host: 127.0.0.1\r\n"), "200");
    assert_eq!(status(&server, "GET /livez HTTP/1.0\r\n\r\n"), "200", "HTTP/1.0 has no Host");
}

#[test]
fn later_request_of_a_connection_is_checked_like_the_first() {
    let server = Spec::in_memory().start();
    let target = "/openapi.json";
    for (later, expected) in [
        (format!("GET {target} HTTP/1.1\r\nhost: locks\r\n"), "200"),
        (format!("GET {target} HTTP/1.1\r\nhost: evil.example\r\n"), "421"),
        (format!("GET {target} HTTP/1.1\r\nhost: locks\r\nhost: evil.example\r\n"), "400"),
        (format!("GET {target} HTTP/1.1\r\n"), "400"),
        (format!("GET http://evil.example{target} HTTP/1.1\r\nhost: locks\r\n"), "421"),
        ("POST /session HTTP/1.1\r\nhost: locks\r\norigin: http://evil.example\r\n".to_owned(), "403"),
    ] {
        let mut stream = TcpStream::connect(server.http()).expect("the server listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let first = "GET /livez HTTP/1.1\r\nhost: locks\r\n\r\n";
        stream.write_all(format!("{first}{later}connection: close\r\n\r\n").as_bytes()).expect("both are taken");
        let mut answers = String::new();
        stream.read_to_string(&mut answers).expect("two answers");
        let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
        assert_eq!(statuses, ["200", expected], "{later}");
    }
}

#[test]
fn answers_have_browser_security_headers() {
    let server = Spec::in_memory().start();
    for (mut client, is_tls) in [(Client::tls(&server), true), (Client::plain(&server), false)] {
        for target in ["/", "/v1/locks", "/nothing", "/getlock", "/openapi.json", "/livez", "/lock/x"] {
            let answer = client.get(target);
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
            assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{target}");
            let strict = answer.header("strict-transport-security").is_some();
            assert_eq!(strict, is_tls, "{target}: {:?}", answer.headers);
        }
    }
}
