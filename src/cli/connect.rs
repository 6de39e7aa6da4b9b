//! How every command of a client finds the service and shows who it is: the same flags and variables everywhere.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output::printable;
use super::{Failure, told};
use crate::client::{Client, ClientError, Trust};
use crate::config::Secret;

/// The flags of a connection. A flag wins over its variable.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connect {
    /// Where the service is
    #[arg(long, global = true, value_name = "URL", env = "LATCHD_URL", default_value = "https://127.0.0.1:8443")]
    url: String,
    /// PEM file with the authority of the service's certificate; without it the system's are trusted, and on this
    /// machine also a self-signed certificate
    #[arg(long, global = true, value_name = "FILE", env = "LATCHD_CA")]
    ca: Option<PathBuf>,
    /// API key; the variable keeps it out of the list of processes
    #[arg(long, global = true, value_name = "KEY", env = "LATCHD_API_KEY")]
    #[arg(hide_env_values = true, value_parser = secret)]
    api_key: Option<Secret>,
    /// Password, where no API key is given
    #[arg(long, global = true, value_name = "PASSWORD", env = "LATCHD_PASSWORD")]
    #[arg(hide_env_values = true, value_parser = secret)]
    password: Option<Secret>,
}

impl Connect {
    /// The URL, for messages.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client whose calls take at most `timeout`; `None` leaves them unbounded.
    pub fn client(&self, timeout: impl Into<Option<Duration>>) -> Result<Client, Failure> {
        let trust = self.ca.clone().map_or(Trust::AnyOnLoopback, Trust::Authority);
        let mut builder = Client::builder(&self.url).map_err(told)?.trust(trust);
        if let Some(timeout) = timeout.into() {
            builder = builder.timeout(timeout);
        }
        let given = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let is_some = |text: &String| !text.is_empty();
        builder = match (given(&self.api_key).filter(is_some), given(&self.password).filter(is_some)) {
            (Some(key), _) => builder.api_key(&key),
            (None, Some(password)) => builder.password(&password),
            (None, None) => builder,
        };
        builder.build().map_err(told)
    }
}

/// An empty one is as good as none: a variable that is set to nothing.
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// What a service refused, in its own words where it says them.
pub fn explain(error: ClientError) -> Failure {
    #[derive(serde::Deserialize)]
    struct Problem {
        detail: String,
    }
    match &error {
        ClientError::Refused { status, body, .. } => match serde_json::from_str::<Problem>(body) {
            Ok(problem) => format!("{} ({})", printable(&problem.detail), status.as_u16()),
            Err(_) => printable(&error.to_string()),
        },
        other => other.to_string(),
    }
}

/// Runs a command that talks to the service to its end.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(told)?;
    runtime.block_on(work)
}
