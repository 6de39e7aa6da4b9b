//! A head with too many or too long fields is refused with words before anything else is done, under HTTP/2 too.

use crate::support::grpc::runtime;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// The status and the problem of one request under HTTP/2 with so many fields of so many bytes each.
fn asked(server: &Server, fields: usize, bytes: usize) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime().block_on(async {
        let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
        let mut request = client.get(format!("http://{}/livez", server.http()));
        for n in 0..fields {
            request = request.header(format!("x-{n}"), "v".repeat(bytes));
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    })
}

#[test]
fn more_header_fields_than_a_hundred_are_refused_with_the_limit_on_http2() {
    let server = Spec::in_memory().start();
    // With `accept`, which the client adds, it is a hundred.
    assert_eq!(asked(&server, 99, 1).0, 200);
    for fields in [101, 300] {
        let (status, body) = asked(&server, fields, 1);
        assert!(status == 431 && body.contains("at most 100") && body.contains("head-too-large"), "{status} {body}");
    }
}

#[test]
fn oversized_http2_head_is_refused_naming_the_config_key() {
    let server = Spec::in_memory().configuration("[server]\nheader_bytes_max = \"16KiB\"\n").start();
    assert_eq!(asked(&server, 10, 1_000).0, 200);
    let (status, body) = asked(&server, 20, 1_000);
    assert!(status == 431 && body.contains("16384") && body.contains("server.header_bytes_max"), "{status} {body}");
}
