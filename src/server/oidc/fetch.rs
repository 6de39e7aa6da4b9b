//! Where the keys of an issuer are, and how they are fetched (OpenID Connect Discovery 1.0, 4).

use super::document::{self, get};
use crate::access::oidc::{IssuerSettings, KeySet, is_fit_to_fetch};
use crate::config::secret_file;
use reqwest::Url;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// One issuer, to fetch from.
#[derive(Clone)]
pub struct Source(Arc<Parts>);

struct Parts {
    issuer: String,
    /// Without it, the issuer is asked where its keys are.
    keys_url: Option<String>,
    authorities: Option<PathBuf>,
    token_file: Option<PathBuf>,
    /// A disk that hangs holds one thread, not one more with each fetch.
    reading: Arc<Semaphore>,
}

/// What a fetch has brought.
pub struct Fetched {
    pub keys: KeySet,
    /// How long it stays fresh, where the issuer says so.
    pub fresh_for: Option<Duration>,
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl Source {
    pub fn of(settings: &IssuerSettings) -> Source {
        Source(Arc::new(Parts {
            issuer: settings.issuer.clone(),
            keys_url: settings.jwks_url.clone(),
            authorities: settings.ca_file.clone(),
            token_file: settings.token_file.clone(),
            reading: Arc::new(Semaphore::new(1)),
        }))
    }

    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub async fn fetch(&self) -> Result<Fetched, String> {
        let (client, bearer) = self.read_files().await?;
        let bearer = bearer.as_deref();
        let keys_url = match &self.0.keys_url {
            Some(url) => url.clone(),
            None => {
                let url = format!("{}{DISCOVERY}", self.issuer().trim_end_matches('/'));
                self.keys_url(&url, &get(&client, &url, bearer).await?.body)?
            }
        };
        // The token is for the issuer, and for no other server that it names.
        let bearer = bearer.filter(|_| self.0.keys_url.is_some() || is_same_server(self.issuer(), &keys_url));
        let document = get(&client, &keys_url, bearer).await?;
        let keys = KeySet::parse(&document.body).map_err(|error| format!("{keys_url}: {error}"))?;
        Ok(Fetched { keys, fresh_for: document.fresh_for })
    }

    async fn read_files(&self) -> Result<(reqwest::Client, Option<String>), String> {
        let parts = Arc::clone(&self.0);
        let hangs = |_| "its ca_file or token_file is being read since an earlier fetch: does a disk hang?".to_owned();
        let turn = Arc::clone(&parts.reading).try_acquire_owned().map_err(hangs)?;
        let read = tokio::task::spawn_blocking(move || {
            let read = parts.read_files();
            drop(turn);
            read
        });
        read.await.map_err(|_| "the files of the issuer cannot be read".to_owned())?
    }

    fn keys_url(&self, url: &str, document: &[u8]) -> Result<String, String> {
        let no_document = |_| format!("{url}: it is no discovery document: issuer and jwks_uri are expected");
        let discovered: Discovered = serde_json::from_slice(document).map_err(no_document)?;
        if discovered.issuer != self.issuer() {
            return Err(format!(
                "{url}: it is of another issuer, {:?}: write that one in access.oidc, or set jwks_url",
                shortened(&discovered.issuer)
            ));
        }
        if !is_fit_to_fetch(&discovered.jwks_uri) {
            return Err(format!(
                "{url}: keys are not fetched from its jwks_uri, {:?}",
                shortened(&discovered.jwks_uri)
            ));
        }
        Ok(discovered.jwks_uri)
    }
}

impl Parts {
    fn read_files(&self) -> Result<(reqwest::Client, Option<String>), String> {
        let client = document::client(self.authorities.as_deref())?;
        let Some(path) = &self.token_file else { return Ok((client, None)) };
        let token = secret_file::read(path).map_err(|why| format!("{} cannot be used: {why}", path.display()))?;
        Ok((client, Some(token.expose().to_owned())))
    }
}

fn is_same_server(one: &str, other: &str) -> bool {
    let origin = |url| Url::parse(url).ok().map(|url| url.origin());
    origin(one).is_some() && origin(one) == origin(other)
}

/// For the log.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discovery_document_must_be_of_the_issuer_and_name_a_safe_place() {
        let settings = serde_json::json!({
            "issuer": "https://issuer.example/a", "audience": "x", "rules": [{"claims": {"sub": "x"}, "role": "client"}]
        });
        let source = Source::of(&serde_json::from_value(settings).expect("settings"));
        let url = |document: &str| source.keys_url("-", document.as_bytes());
        let fit = r#"{"issuer": "https://issuer.example/a", "jwks_uri": "https://keys.example/k"}"#;
        assert_eq!(url(fit).as_deref(), Ok("https://keys.example/k"));
        for bad in [
            "",
            "[]",
            "{}",
            "<html>",
            r#"{"issuer": "https://issuer.example/b", "jwks_uri": "https://keys.example/k"}"#,
            r#"{"issuer": "https://issuer.example/a", "jwks_uri": "http://keys.example/k"}"#,
            r#"{"issuer": "https://issuer.example/a", "jwks_uri": "file:///etc/passwd"}"#,
        ] {
            url(bad).expect_err(bad);
        }
    }

    #[tokio::test]
    async fn fetch_while_the_files_of_an_earlier_one_are_read_is_refused_and_begins_no_thread() {
        let settings = serde_json::json!({
            "issuer": "https://127.0.0.1:1", "audience": "x", "token_file": "/nowhere",
            "rules": [{"claims": {"sub": "x"}, "role": "client"}]
        });
        let source = Source::of(&serde_json::from_value(settings).expect("settings"));
        let failure = || async { source.fetch().await.err().expect("a failure") };
        let hanging = source.0.reading.try_acquire().expect("nobody reads");
        assert!(failure().await.contains("does a disk hang?"));
        drop(hanging);
        assert!(failure().await.contains("/nowhere cannot be used"));
        assert!(failure().await.contains("/nowhere cannot be used"), "a reading that has ended makes room");
    }

    #[test]
    fn own_token_goes_to_the_issuer_only() {
        assert!(is_same_server("https://a.example", "https://a.example:443/keys"));
        for other in ["https://b.example/keys", "http://a.example/keys", "https://a.example:444/keys", "", "data:x"] {
            assert!(!is_same_server("https://a.example", other), "{other}");
        }
        assert!(!is_same_server("data:x", "data:x"), "an opaque origin is the same as no other");
    }
}
