//! The state of this dialect.

use crate::config::Config;
use crate::domain::time::round_up_ms;
use crate::http::AppState;
use axum::http::HeaderValue;

#[derive(Clone)]
pub struct GetLock {
    pub app: AppState,
    /// `servername` in every answer, and the `Server` header.
    pub server_name: HeaderValue,
    /// The lease of a hold that names no lifetime.
    pub default_lifetime_ms: u64,
    /// Whether `/releaselock` takes a fitting token instead of a credential.
    pub release_without_credential: bool,
}

impl GetLock {
    pub fn new(app: &AppState, config: &Config) -> GetLock {
        GetLock {
            app: AppState::clone(app),
            server_name: header_value(&config.server.name),
            default_lifetime_ms: round_up_ms(config.locks.get_lock_lifetime),
            release_without_credential: config.compat.release_without_credential,
        }
    }

    pub fn server_name(&self) -> &str {
        self.server_name.to_str().unwrap_or_default()
    }
}

/// A header has no room for line breaks and the like.
fn header_value(name: &str) -> HeaderValue {
    let printable: String = name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    HeaderValue::from_str(printable.trim()).unwrap_or(HeaderValue::from_static("latchd"))
}
