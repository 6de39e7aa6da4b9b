//! Lock by name: lockd's answers to the byte, its rules for names, its redirects.

use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::spec::Spec;

const DONE: &str = "{}\n";
const NOT_FOUND: &str = "{\"error\":\"Not Found\"}\n";
const CONFLICT: &str = "{\"error\":\"Lock conflict\"}\n";
const ALL_66: &str = "$-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn json(response: &Response, status: u16, body: &str) {
    assert_eq!((response.status, &*response.text()), (status, body));
    assert_eq!(response.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(response.header("content-length"), Some(&*body.len().to_string()));
}

fn client(server: &Server) -> Client {
    Client::tls(server)
}

#[test]
fn lockds_integration_test_passes() {
    let server = Spec::in_memory().start();
    let mut client = client(&server);
    for name in ["foo", "bar", ALL_66] {
        let path = format!("/lock/{name}");
        json(&client.get(&path), 404, NOT_FOUND);
        let locked = client.send("POST", &path, b"");
        json(&locked, 200, DONE);
        assert!(locked.header("fencing-token").is_some_and(|token| token.parse::<u64>().is_ok()));
        json(&client.get(&path), 200, DONE);
        json(&client.send("POST", &path, b""), 409, CONFLICT);
        json(&client.get(&path), 200, DONE);
    }
    for name in ["foo", "bar", ALL_66] {
        let path = format!("/lock/{name}");
        json(&client.delete(&path), 200, DONE);
        json(&client.get(&path), 404, NOT_FOUND);
        json(&client.delete(&path), 404, NOT_FOUND);
    }
}

#[test]
fn names_are_checked_first_with_lockds_messages() {
    let server = Spec::in_memory().start();
    let mut client = client(&server);
    let non_ascii = |byte: u8, offset: usize| {
        format!("{{\"error\":\"Name contains non-printable/non-ascii byte {byte} at offset {offset}\"}}\n")
    };
    let too_long = "{\"error\":\"Name is too long (129 bytes \\u003e max of 128)\"}\n".to_owned();
    for (name, body) in [
        ("A+B".to_owned(), non_ascii(43, 1)),
        ("A%2BB".to_owned(), non_ascii(43, 1)),
        ("hi%0a".to_owned(), non_ascii(10, 2)),
        ("%E6%97%A5%E6%9C%AC%E8%AA%9E".to_owned(), non_ascii(230, 0)),
        ("%bd".to_owned(), non_ascii(189, 0)),
        ("a%00".to_owned(), non_ascii(0, 1)),
        ("a".repeat(129), too_long),
    ] {
        for method in ["GET", "POST", "DELETE"] {
            json(&client.send(method, &format!("/lock/{name}"), b""), 400, &body);
        }
    }
    json(&client.get(&format!("/lock/{}", "a".repeat(128))), 404, NOT_FOUND);
    json(&client.send("POST", "/lock/%66oo?query=ignored", b"ignored"), 200, DONE);
    json(&client.get("/lock/foo"), 200, DONE);
}

#[test]
fn paths_unknown_to_lockds_router_are_not_found() {
    let server = Spec::in_memory().start();
    let mut client = client(&server);
    for (method, path) in [
        ("GET", "/lock/"),
        ("POST", "/lock/"),
        ("POST", "/lock/a/b"),
        ("POST", "/lock/a%2Fb"),
        ("POST", "/lock/."),
        ("POST", "/lock/.."),
        ("GET", "/lock//"),
        ("POST", "/lock/a/.."),
        ("POST", "//lock/a/b"),
        ("PUT", "/lock/foo"),
        ("OPTIONS", "/lock/foo"),
        ("PUT", "/lock/foo/"),
    ] {
        let answer = client.send(method, path, b"");
        assert_eq!((answer.status, &*answer.text()), (404, "404 page not found"), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("text/plain"));
    }
    assert_eq!(client.send("HEAD", "/lock/foo", b"").status, 404);
}

#[test]
fn trailing_slash_is_redirected() {
    let server = Spec::in_memory().start();
    let mut client = client(&server);
    let get = client.get("/lock/foo/");
    assert_eq!((get.status, get.header("location")), (301, Some("/lock/foo")));
    assert_eq!(get.text(), "<a href=\"/lock/foo\">Moved Permanently</a>.\n\n");
    for method in ["POST", "DELETE"] {
        let answer = client.send(method, "/lock/foo/", b"");
        assert_eq!((answer.status, answer.header("location"), &*answer.text()), (307, Some("/lock/foo"), ""));
    }
}

/// The answers of gin 1.5, on which lockd is built.
#[test]
fn path_is_cleaned_like_lockds() {
    let server = Spec::in_memory().start();
    for mut client in [Client::plain(&server), Client::tls(&server)] {
        for path in [
            "//lock/foo",
            "/lock//foo",
            "/lock/./foo",
            "/./lock/foo",
            "/lock/a/../foo",
            "/x/../lock/foo",
            "/../lock/foo",
            "/lock/../lock/foo",
            "///lock///.//foo",
            "/lock/%2Ffoo",
            "/lock/a%2F..%2Ffoo",
            "/lock/%2E/foo",
            "//lock/foo?query=ignored",
        ] {
            json(&client.get(path), 404, NOT_FOUND);
            json(&client.send("POST", path, b""), 200, DONE);
            json(&client.send("POST", "/lock/foo", b""), 409, CONFLICT);
            json(&client.get(path), 200, DONE);
            json(&client.delete(path), 200, DONE);
            json(&client.get("/lock/foo"), 404, NOT_FOUND);
        }
        for path in ["//lock/foo/", "/lock/./foo/", "/lock//foo/", "/lock/foo%2F", "/lock/foo//", "/lock/.//foo/./"] {
            let answer = client.get(path);
            assert_eq!((answer.status, answer.header("location")), (301, Some("/lock/foo")), "{path}");
            let answer = client.send("DELETE", path, b"");
            assert_eq!((answer.status, answer.header("location")), (307, Some("/lock/foo")), "{path}");
        }
        for (path, location) in [
            ("/lock/foo/?x=1", "/lock/foo?x=1"),
            ("/lock/a%20b/", "/lock/a%20b"),
            ("/lock/%E6%97%A5/", "/lock/%E6%97%A5"),
        ] {
            assert_eq!(client.get(path).header("location"), Some(location), "{path}");
        }
        for path in ["//lock", "/x/lock/foo", "//session", "/lock.foo"] {
            assert_eq!(client.get(path).status, 404, "{path}");
            assert_ne!(client.get(path).text(), "404 page not found", "{path} is none of lockd's");
        }
    }
}
