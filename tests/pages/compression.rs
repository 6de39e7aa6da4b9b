//! What is compressed for whoever takes gzip, and what never is.

use super::{lock, with_session};
use crate::support::client::Client;
use crate::support::spec::Spec;

const GZIP: &[u8] = &[0x1f, 0x8b];

#[test]
fn pages_and_documents_are_compressed_when_asked() {
    let server = Spec::in_memory().start();
    let (mut plain, mut zipped) =
        (Client::plain(&server), Client::plain(&server).with_header("Accept-Encoding", "gzip, br"));
    for target in ["/", "/docs", "/docs/errors", "/openapi.json", "/ui/console.css", "/ui/console.js"] {
        let (whole, small) = (plain.get(target), zipped.get(target));
        assert_eq!(
            (whole.header("content-encoding"), small.header("content-encoding")),
            (None, Some("gzip")),
            "{target}"
        );
        assert!(small.body.starts_with(GZIP) && small.body.len() < whole.body.len(), "{target}");
        assert_eq!(small.header("content-type"), whole.header("content-type"), "{target}");
    }
}

#[test]
fn answers_with_secrets_for_other_sites_or_of_dialects_stay_whole() {
    let server = Spec::in_memory().start();
    let client = || Client::plain(&server).with_header("Accept-Encoding", "gzip");
    let mut holder = with_session(client());
    (0..20).for_each(|n| drop(lock(&mut holder, &format!("compression-of-{n}"))));
    for target in ["/v1/locks", "/v1/locks/compression-of-1", "/status", "/metrics", "/readyz"] {
        assert_eq!(client().get(target).header("content-encoding"), None, "{target}");
    }
    let mut elsewhere = client().with_header("Sec-Fetch-Site", "cross-site");
    assert_eq!(elsewhere.get("/").header("content-encoding"), None);
    let mut here = client().with_header("Sec-Fetch-Site", "same-origin");
    assert_eq!(here.get("/").header("content-encoding"), Some("gzip"));
}
