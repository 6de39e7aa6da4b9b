//! Sends HTTP requests to a collector, and keeps why the last one failed: the exporter says only that it did.

use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use parking_lot::Mutex;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// The cause of the last failure, until it is told.
#[derive(Clone, Debug, Default)]
pub struct LastFailure(Arc<Mutex<Option<String>>>);

impl LastFailure {
    pub fn take(&self) -> Option<String> {
        self.0.lock().take()
    }

    /// The last of the causes says most, and does not name the URL.
    fn keep(&self, error: &dyn Error) {
        let mut cause = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        *self.0.lock() = Some(cause.to_string());
    }
}

#[derive(Debug)]
pub struct CollectorClient {
    http: reqwest::Client,
    failure: LastFailure,
}

impl CollectorClient {
    /// Follows no redirection, which could lead the headers elsewhere.
    pub fn new(tls: rustls::ClientConfig, failure: LastFailure) -> Result<CollectorClient, String> {
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls);
        let http = client.redirect(reqwest::redirect::Policy::none()).build().map_err(|error| error.to_string())?;
        Ok(CollectorClient { http, failure })
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for CollectorClient {
    fn send_bytes<'life0, 'async_trait>(&'life0 self, request: Request<Bytes>) -> Answer<'async_trait>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let sent = async { self.http.send_bytes(request).await.inspect_err(|error| self.failure.keep(&**error)) };
        Box::pin(sent)
    }
}
