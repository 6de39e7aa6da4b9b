//! What one node shows of itself: its metrics, its date, and its certificate.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::DATE;
use reqwest::{Method, Url};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::call::Call;
use super::{Client, ClientError, Trust};

impl Client {
    /// The metrics, in the text format of Prometheus. Needs a credential of every name where one is configured.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        Ok(self.send(&Call::new(Method::GET, "/metrics"), self.once()).await?.text)
    }

    /// The `Date` of an answer (RFC 9110, 6.6.1): whole seconds, by the clock of the node, or of a proxy before it.
    pub async fn date(&self) -> Result<Option<String>, ClientError> {
        let answer = self.send(&Call::new(Method::GET, "/livez"), self.once()).await?;
        Ok(answer.headers.get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned))
    }
}

/// The certificate that an https URL shows, whoever signed it; nothing is sent. The error is for people.
pub async fn served_certificate(url: &str, timeout: Duration) -> Result<CertificateDer<'static>, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let config = Trust::Any.config(false, false, None).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
    let shown = async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        std::io::Result::Ok(stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned()))
    };
    let shown = tokio::time::timeout(timeout, shown).await.map_err(|_| "no answer in time".to_owned())?;
    shown.map_err(|error| error.to_string())?.ok_or_else(|| "it shows none".to_owned())
}
