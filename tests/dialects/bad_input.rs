//! Malformed, oversized and out-of-range input gets a 4xx with the reason in every dialect.

use super::dialect_client::{DialectClient, Protocol};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// Method, target, body, and a text that the 4xx must contain.
type Row = (&'static str, &'static str, &'static [u8], &'static [&'static str]);

const ABSURD: &[Row] = &[
    ("POST", "/v1/lock", br#"{"name":"a","lock_timeout_seconds":1e308}"#, &["lock_timeout_seconds", "2592000"]),
    ("POST", "/v1/lock", br#"{"name":"a","lock_timeout_seconds":"NaN"}"#, &["lock_timeout_seconds", "2592000"]),
    ("POST", "/v1/lock", br#"{"name":"a","lock_timeout_seconds":9223372036854775808}"#, &["lock_timeout_seconds"]),
    ("POST", "/v1/lock", br#"{"name":"a","wait_timeout_seconds":1e999}"#, &["wait_timeout_seconds"]),
    ("POST", "/v1/lock", br#"{"name":"a\u0000b"}"#, &["name", "NUL"]),
    ("POST", "/v1/lock", b"{\"name\":\"\xff\"}", &["name"]),
    ("POST", "/v1/renew", br#"{"name":"a","key":"k","lock_timeout_seconds":1e308}"#, &["lock_timeout_seconds"]),
    ("GET", "/getlock?lockname=a&lifetime=nan", b"", &["lifetime", "2592000"]),
    ("GET", "/getlock?lockname=a&lifetime=inf", b"", &["lifetime", "2592000"]),
    ("GET", "/getlock?lockname=a&lifetime=1e308", b"", &["lifetime", "2592000"]),
    ("GET", "/getlock?lockname=a&lifetime=0", b"", &["lifetime"]),
    ("GET", "/getlock?lockname=a&lifetime=-1", b"", &["lifetime"]),
    ("GET", "/getlock?lockname=a&lifetime=", b"", &["lifetime"]),
    ("GET", "/getlock?lockname=a&timeout=-1", b"", &["timeout", "86400"]),
    ("GET", "/getlock?lockname=a&timeout=9223372036854775808", b"", &["timeout", "86400"]),
    ("GET", "/getlock?lockname=%00", b"", &["lockname", "NUL"]),
    ("GET", "/getlock?lockname=%ff", b"", &["lockname", "UTF-8"]),
    ("DELETE", "/releaselock?lockname=%ff&token=x", b"", &["lockname"]),
    ("POST", "/lock", br#"{"resource":"a","ttl":1e308}"#, &["ttl", "2592000"]),
    ("POST", "/lock", br#"{"resource":"a","ttl":0}"#, &["ttl", "2592000"]),
    ("POST", "/lock", br#"{"resource":"a","ttl":-5}"#, &["ttl", "2592000"]),
    ("POST", "/lock", br#"{"resource":"a","ttl":"NaN"}"#, &["ttl"]),
    ("POST", "/lock", br#"{"resource":"a","wait":9223372036854775808}"#, &["wait", "86400"]),
    ("POST", "/lock", br#"{"resource":"a\u0000"}"#, &["resource", "NUL"]),
    ("POST", "/lock", br#"{"resource":"a","metadata":{"k":7}}"#, &["metadata"]),
    ("POST", "/lock", br#"{"resource":"a","resource":"b"}"#, &["resource"]),
    ("POST", "/lock", b"{\"resource\":\"\xff\"}", &["resource"]),
    ("POST", "/lock", b"", &["resource"]),
    ("POST", "/unlock", b"{}", &["lock_id"]),
    ("POST", "/unlock", br#"{"lock_id":7}"#, &["lock_id"]),
    ("POST", "/lock/a%00", b"", &["Name", "offset 1"]),
    ("LOCK", "/terraform/a", b"", &["ID"]),
    ("LOCK", "/terraform/a", b"{}", &["ID"]),
    ("LOCK", "/terraform/a", br#"{"ID":""}"#, &["ID"]),
    ("LOCK", "/terraform/a", br#"{"ID":7}"#, &["ID", "string"]),
    ("LOCK", "/terraform/a", br#"{"id":"x"}"#, &["ID"]),
    ("LOCK", "/terraform/a", br#"{"ID":"x","ID":"y"}"#, &["ID", "duplicate"]),
    ("LOCK", "/terraform/a", br#"{"ID":"x","Who":["ann"]}"#, &["Who", "string"]),
    ("LOCK", "/terraform/a", br#"{"ID":"x","Created":"now"}"#, &["Created", "RFC 3339"]),
    ("LOCK", "/terraform/a", br#"["x"]"#, &["malformed-body"]),
    ("LOCK", "/terraform/a", br#"{"ID":"x"} {"#, &["malformed-body"]),
    ("LOCK", "/terraform/a", b"ID=x", &["form"]),
    ("LOCK", "/terraform/a", br#"{"version":4,"terraform_version":"1.14.0","serial":3,"lineage":"x"}"#, &["ID"]),
    ("LOCK", "/terraform/a%00", br#"{"ID":"x"}"#, &["name", "NUL"]),
    ("LOCK", "/terraform/%ff", br#"{"ID":"x"}"#, &["name", "UTF-8"]),
    ("LOCK", "/terraform/", br#"{"ID":"x"}"#, &["name", "empty"]),
    ("UNLOCK", "/terraform/a", br#"{"ID":7}"#, &["ID"]),
    ("UNLOCK", "/terraform/a", b"", &["ID", "terraform.force_unlock"]),
    ("DELETE", "/terraform/a", b" \n", &["ID", "terraform.force_unlock"]),
];

fn refused(response: &Response, row: &str, naming: &[&str]) {
    let text = response.text();
    assert!((400..500).contains(&response.status), "{row}: {} {text}", response.status);
    for word in naming {
        assert!(text.contains(word), "{row}: {text} does not name {word}");
    }
}

#[test]
fn out_of_range_values_are_refused_with_field_and_limit() {
    let server = Spec::in_memory().start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    for (method, target, body, naming) in ABSURD {
        let response = client.send(method, target, body);
        refused(&response, &format!("{method} {target} {}", String::from_utf8_lossy(body)), naming);
    }
}

#[test]
fn exceeded_limits_name_field_and_limit() {
    let server = Spec::in_memory().start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    let long_name = "n".repeat(513);
    let many: serde_json::Map<_, _> = (0..33).map(|at| (format!("k{at}"), "v".into())).collect();
    let long_key: serde_json::Map<_, _> = [("k".repeat(65), "v".into())].into_iter().collect();
    let long_value: serde_json::Map<_, _> = [("k".to_owned(), "v".repeat(257).into())].into_iter().collect();
    let path = "/lock";
    refused(&client.post(path, &serde_json::json!({"resource": long_name})), path, &["resource", "512"]);
    for (metadata, limit) in [(&many, "32"), (&long_key, "64"), (&long_value, "256")] {
        let response = client.post(path, &serde_json::json!({"resource": "a", "metadata": metadata}));
        refused(&response, path, &["metadata", limit]);
    }
    refused(&client.get(&format!("/getlock?lockname={long_name}")), "/getlock", &["lockname", "512"]);
    refused(&client.send("LOCK", &format!("/terraform/{long_name}"), br#"{"ID":"x"}"#), "/terraform", &["name", "512"]);
    for (field, text, limit) in
        [("ID", "i".repeat(257), "256"), ("Info", "x".repeat(257), "256"), ("Who", "é".repeat(129), "256")]
    {
        let mut info = serde_json::json!({"ID": "x"});
        info[field] = text.into();
        let response = client.send("LOCK", "/terraform/a", info.to_string().as_bytes());
        refused(&response, "/terraform/a", &[field, limit]);
        assert_eq!(response.json()["limit"], 256);
    }
}

#[test]
fn too_large_body_is_413() {
    let server = Spec::in_memory().configuration("[server]\nbody_bytes_max = \"1KiB\"\n").start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    let body = format!(r#"{{"name":"a","resource":"a","lock_id":"a","x":"{}"}}"#, "x".repeat(1024));
    for path in ["/v1/lock", "/v1/unlock", "/v1/renew", "/lock", "/unlock", "/terraform/a/lock", "/terraform/a/unlock"]
    {
        let response = client.send("POST", path, body.as_bytes());
        assert_eq!(response.status, 413, "{path}");
        refused(&response, path, &["1024"]);
    }
    // Where bodies are ignored, so is their size.
    assert_eq!(client.send("POST", "/lock/name", body.as_bytes()).status, 200);
}

#[test]
fn unknown_path_is_a_problem_document() {
    let server = Spec::in_memory().start();
    let mut client = Client::tls(&server);
    for path in ["/nothing", "/v1", "/v2/lock", "/api/lock", "/%ff", "/v1/lock/x"] {
        let answer = client.send("POST", path, b"{}");
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.json()["code"], "not-found");
    }
}

/// Method, target, headers, body, and a text that the answer must contain.
#[test]
fn non_json_body_gets_advice() {
    let server = Spec::in_memory().start();
    for (header, body, say) in [
        (None, &b"name=a&lock_timeout_seconds=30"[..], "send a JSON object"),
        (Some(("Content-Type", "application/x-www-form-urlencoded")), b"resource=a", "JSON object"),
        (None, b"\xef\xbb\xbf{\"name\":\"a\"}", "byte order mark"),
        (None, b"\x1f\x8b\x08\0", "gzip"),
        (Some(("Content-Encoding", "gzip")), b"\x1f\x8b\x08\0", "uncompressed"),
        (Some(("Content-Encoding", "br")), b"{}", "uncompressed"),
    ] {
        let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
        if let Some((name, value)) = header {
            client = client.with_header(name, value);
        }
        let targets = [("POST", "/v1/lock"), ("POST", "/v1/unlock"), ("POST", "/v1/renew"), ("POST", "/lock")];
        let ours = [
            ("LOCK", "/terraform/a"),
            ("UNLOCK", "/terraform/a"),
            ("POST", "/unlock"),
            ("DELETE", "/v1/locks/a/holds/b"),
            ("POST", "/v1/cluster/members"),
        ];
        for (method, target) in targets.into_iter().chain(ours) {
            let answer = client.send(method, target, body);
            refused(&answer, target, &[say]);
        }
        let opened = client.send("POST", "/session", body);
        refused(&opened, "/session", &[say]);
    }
}

#[test]
fn slash_in_a_name_gets_advice() {
    let server = Spec::in_memory().start();
    let mut client = Client::tls(&server);
    for (method, path) in [("GET", "/v1/locks/deploy/production"), ("DELETE", "/v1/locks/a/b/holds/c")] {
        let answer = client.send(method, path, b"");
        assert_eq!(answer.status, 404);
        refused(&answer, path, &["%2F", "?name="]);
    }
}

#[test]
fn server_survives_malformed_requests() {
    let server = Spec::in_memory().start();
    let mut client = DialectClient::new(Protocol::SessionsV1, &server).client;
    let deep = "[".repeat(20_000);
    let nested = format!(r#"{{"x":{deep}"#);
    for body in [&b"\0"[..], b"{\"name\":", b"\xef\xbb\xbf{}", nested.as_bytes(), b"{\"\\ud800\":1}"] {
        for path in ["/v1/lock", "/v1/unlock", "/v1/renew", "/lock", "/unlock", "/terraform/a/lock"] {
            let status = client.send("POST", path, body).status;
            assert!((400..500).contains(&status), "{path}: {status}");
        }
    }
    still_works(&server);
}

fn still_works(server: &Server) {
    for protocol in Protocol::HTTP {
        assert!(DialectClient::new(protocol, server).take(&format!("after-{protocol:?}")).is_some());
    }
    assert!(!server.stderr().contains("panic"), "{}", server.stderr());
}
