//! A thin client of sessions v1, for the command line and for tests. It knows the wire and nothing of the server.

mod builder;
mod operate;
mod wire;

pub use builder::{ClientBuilder, Trust};
pub use operate::{BackupError, Cluster, Member};
pub use wire::{Held, LockError, LockRequest, LockResult, UnlockResult};

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0} is not an http or https URL")]
    BadUrl(String),
    #[error("{path} cannot be used as a certificate authority: {reason}")]
    BadAuthority { path: String, reason: String },
    #[error("{url} cannot be reached: {}", innermost(.reason))]
    Unreachable { url: String, reason: reqwest::Error },
    /// The server answered with another status than the call succeeds with.
    #[error("{url} answered {status}: {body}")]
    Refused { url: String, status: StatusCode, body: String },
    #[error("{url} answered what is no answer of this call: {reason}")]
    Unintelligible { url: String, reason: serde_json::Error },
}

/// One client: its connections, its cookies and with them its session.
#[derive(Clone, Debug)]
pub struct Client {
    base: Url,
    http: reqwest::Client,
    credential: Option<Credential>,
}

/// What the client shows with every request.
#[derive(Clone)]
enum Credential {
    Password(String),
    ApiKey(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

impl Client {
    /// Begins a client of the service at `url`.
    pub fn builder(url: &str) -> Result<ClientBuilder, ClientError> {
        ClientBuilder::new(url)
    }

    /// Whether the service is ready; the error says why not.
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.send(Method::GET, "/readyz", None::<&()>).await.map(drop)
    }

    /// Opens a session; its cookie goes with every further call. Returns its id.
    pub async fn open_session(&self) -> Result<String, ClientError> {
        self.call::<wire::Session>(Method::POST, "/session", None::<&()>).await.map(|session| session.session_id)
    }

    /// Ends the session; all it holds is free.
    pub async fn close_session(&self) -> Result<(), ClientError> {
        self.send(Method::DELETE, "/session", None::<&()>).await.map(drop)
    }

    /// Takes a lock, waiting as long as the request says.
    pub async fn lock(&self, request: &LockRequest) -> Result<LockResult, ClientError> {
        self.call(Method::POST, "/v1/lock", Some(request)).await
    }

    /// Gives a hold back.
    pub async fn unlock(&self, name: &str, key: &str) -> Result<UnlockResult, ClientError> {
        self.call(Method::POST, "/v1/unlock", Some(&wire::Unlock { name, key })).await
    }

    /// Starts the lease of a hold anew with this length.
    pub async fn renew(&self, name: &str, key: &str, lease: Duration) -> Result<LockResult, ClientError> {
        let body = wire::Renew { name, key, lock_timeout_seconds: lease.as_secs_f64() };
        self.call(Method::POST, "/v1/renew", Some(&body)).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let text = self.send(method, path, body).await?;
        serde_json::from_str(&text).map_err(|reason| ClientError::Unintelligible { url: self.url(path), reason })
    }

    async fn send(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<String, ClientError> {
        let response = self.open(method, path, body).await?;
        response.text().await.map_err(|reason| ClientError::Unreachable { url: self.url(path), reason })
    }

    /// A successful answer whose body is not read yet.
    async fn open(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Response, ClientError> {
        let url = self.url(path);
        let mut request = self.http.request(method, &url);
        request = match &self.credential {
            Some(Credential::Password(password)) => request.basic_auth("latchd", Some(password)),
            Some(Credential::ApiKey(key)) => request.bearer_auth(key),
            None => request,
        };
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |reason| ClientError::Unreachable { url: url.clone(), reason };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.map_err(unreachable)?;
        Err(ClientError::Refused { url, status, body })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }
}

/// The cause at the bottom says most ("Connection refused"); those above only say that something failed.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
