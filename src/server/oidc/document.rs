//! Fetches one JSON document, within bounds: how large it is, and who may answer.

use crate::base::named_file::{self, PEM_BYTES_MAX};
use reqwest::header::{ACCEPT, CACHE_CONTROL, HeaderMap};
use reqwest::{Certificate, Client, StatusCode, redirect};
use std::path::Path;
use std::time::Duration;

/// Of a document. The key sets of the largest issuers have a tenth of it.
const BYTES_MAX: usize = 256 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A document, and how long it stays fresh, where its server says so.
pub struct Document {
    pub body: Vec<u8>,
    pub fresh_for: Option<Duration>,
}

/// Without proxies and redirects, so that nobody else answers. Reads the file of authorities: blocks.
pub fn client(authorities: Option<&Path>) -> Result<Client, String> {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("latchd/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = authorities {
        let unusable = |error: &dyn std::fmt::Display| format!("{} cannot be used: {error}", path.display());
        let pem = named_file::read(path, PEM_BYTES_MAX).map_err(|error| unusable(&error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&error))?;
        if certificates.is_empty() {
            return Err(unusable(&"it has no PEM certificate"));
        }
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().map_err(|error| reason(&error))
}

/// Fetches the document; the reason of a failure names the URL.
pub async fn get(client: &Client, url: &str, bearer: Option<&str>) -> Result<Document, String> {
    let mut request = client.get(url).header(ACCEPT, "application/json");
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    let failed = |why: String| format!("{url}: {why}");
    let mut answer = request.send().await.map_err(|error| failed(reason(&error)))?;
    if answer.status() != StatusCode::OK {
        return Err(failed(format!("its server answered {} instead of 200", answer.status().as_u16())));
    }
    let fresh_for = max_age(answer.headers());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(reason(&error)))? {
        if body.len() + chunk.len() > BYTES_MAX {
            return Err(failed(format!("it is longer than {BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Document { body, fresh_for })
}

/// The last cause says most.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// `max-age` of `Cache-Control` (RFC 9111, 5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = lines.flat_map(|line| line.split(','));
    directives.find_map(|directive| {
        let (name, value) = directive.trim().split_once('=')?;
        let seconds = value.trim_matches('"').parse().ok()?;
        name.eq_ignore_ascii_case("max-age").then(|| Duration::from_secs(seconds))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_is_read_from_cache_control() {
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, text.parse().expect("a value"))]);
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(of("public, Max-Age=300, must-revalidate"), Some(300));
        assert_eq!(of("max-age=\"60\""), Some(60));
        for none in ["no-store", "max-age", "max-age=x", "max-age=-1", "s-maxage=3"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
