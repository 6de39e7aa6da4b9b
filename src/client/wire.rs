//! Sessions v1 as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(super) struct Session {
    pub session_id: String,
}

/// What to take. Built from a name; everything else has a default.
#[derive(Clone, Debug, Serialize)]
pub struct LockRequest {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_timeout_seconds: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
}

impl LockRequest {
    /// Tries once, without a lease: the session's end frees it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            size: None,
            lock_timeout_seconds: None,
            wait_timeout_seconds: None,
            metadata: BTreeMap::new(),
        }
    }

    /// How many may hold it at once.
    #[must_use]
    pub fn size(mut self, size: u32) -> Self {
        self.size = Some(size);
        self
    }

    /// Ends by itself after this long unless renewed.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lock_timeout_seconds = Some(lease.as_secs_f64());
        self
    }

    /// Waits in the queue for up to this long.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait_timeout_seconds = Some(wait.as_secs_f64());
        self
    }

    /// Shown to whoever asks who holds the lock.
    #[must_use]
    pub fn metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }
}

#[derive(Serialize)]
pub(super) struct Unlock<'a> {
    pub name: &'a str,
    pub key: &'a str,
}

#[derive(Serialize)]
pub(super) struct Renew<'a> {
    pub name: &'a str,
    pub key: &'a str,
    pub lock_timeout_seconds: f64,
}

/// Answer to lock and renew.
#[derive(Clone, Debug, Deserialize)]
pub struct LockResult {
    pub locked: bool,
    pub name: String,
    #[serde(default)]
    pub key: String,
    pub error: Option<LockError>,
    pub fencing_token: Option<u64>,
    pub expires_in_seconds: Option<f64>,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub key: String,
    pub fencing_token: u64,
}

impl LockResult {
    /// The hold, when there is one.
    pub fn held(self) -> Option<Held> {
        let fencing_token = self.fencing_token.filter(|_| self.locked)?;
        Some(Held { key: self.key, fencing_token })
    }
}

/// Answer to unlock.
#[derive(Clone, Debug, Deserialize)]
pub struct UnlockResult {
    pub unlocked: bool,
    pub name: String,
    pub error: Option<LockError>,
}

/// A refusal inside an answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LockError {
    pub code: String,
    pub message: String,
}
