//! Which locks are waited for, as the node that answers has seen it.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Client, ClientError};

/// Which locks to show.
#[derive(Clone, Debug)]
pub struct ContentionQuery {
    pub prefix: String,
    /// `wait`, `longest-wait`, `waits`, `timeouts` or `hold`.
    pub by: String,
    pub limit: u32,
}

/// The answer of one node.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Contention {
    pub node: u64,
    /// How much time the numbers cover.
    pub covers_seconds: f64,
    pub locks: Vec<ContendedLock>,
}

/// How one lock was waited for and held.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ContendedLock {
    pub name: String,
    /// How many wait now.
    pub waiting: u32,
    /// Waits that began.
    pub waits: u64,
    /// Waits that ended with a grant.
    pub granted: u64,
    /// Waits that ended by their timeout.
    pub timeouts: u64,
    /// All waits together; those that still last count so far.
    pub wait_seconds: f64,
    pub longest_wait_seconds: f64,
    /// Holds that ended.
    pub holds: u64,
    pub hold_seconds: f64,
    pub longest_hold_seconds: f64,
}

impl Client {
    pub async fn contention(&self, query: &ContentionQuery) -> Result<Contention, ClientError> {
        let ContentionQuery { prefix, by, limit } = query;
        let call = Call::new(Method::GET, "/v1/contention");
        let call = call.query("prefix", prefix).query("by", by).query("limit", limit.to_string());
        self.send(&call, self.retry_policy()).await?.read()
    }
}
