//! Listings of locks and sessions, and the forced release.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::call::Call;
use super::{Client, ClientError};

/// The most entries that the service puts on a page.
const PAGE: &str = "1000";

/// Which locks to list.
#[derive(Clone, Debug, Default)]
pub struct LockQuery {
    /// Only this one; not together with a prefix.
    pub name: Option<String>,
    pub prefix: String,
    /// Only those with a holder.
    pub held: bool,
    /// Only those with a waiter.
    pub contended: bool,
}

/// A lock and its holders.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Lock {
    pub name: String,
    pub size: u32,
    pub queue_length: u32,
    /// Oldest first.
    pub holders: Vec<Holder>,
}

/// A hold, as listings show it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Holder {
    pub fencing_token: u64,
    pub dialect: String,
    pub held_for_seconds: f64,
    /// `None` without a lease.
    pub remaining_seconds: Option<f64>,
    /// The handle of its session.
    pub session: Option<String>,
    pub owner: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// Shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A session, by its handle.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct SessionEntry {
    pub session: String,
    pub holds: u32,
    pub waiters: u32,
    pub idle_timeout_seconds: f64,
    /// `None` while one of its requests waits.
    pub remaining_seconds: Option<f64>,
}

/// A hold that was ended by force.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ForcedRelease {
    pub name: String,
    pub fencing_token: u64,
    /// Whether a waiter holds the lock now.
    pub waiter_granted: bool,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(alias = "locks", alias = "sessions")]
    entries: Vec<T>,
    next_cursor: Option<String>,
}

impl Client {
    /// Every lock that matches the query, in the order of their names.
    pub async fn locks(&self, query: &LockQuery) -> Result<Vec<Lock>, ClientError> {
        let matches = |lock: &Lock| match &query.name {
            Some(name) => lock.name == *name,
            None => lock.name.starts_with(&query.prefix),
        };
        self.list(query.call(), matches).await
    }

    /// One lock; `None` if it has neither holder nor waiter.
    pub async fn show_lock(&self, name: &str) -> Result<Option<Lock>, ClientError> {
        let query = LockQuery { name: Some(name.to_owned()), ..LockQuery::default() };
        Ok(self.locks(&query).await?.pop())
    }

    /// Every live session.
    pub async fn sessions(&self) -> Result<Vec<SessionEntry>, ClientError> {
        self.list(Call::new(Method::GET, "/v1/sessions"), |_| true).await
    }

    /// All pages of a listing; an error if an entry does not match.
    async fn list<T: DeserializeOwned>(&self, call: Call, matches: impl Fn(&T) -> bool) -> Result<Vec<T>, ClientError> {
        let call = call.query("limit", PAGE);
        let mut entries = Vec::new();
        let mut next = call.clone();
        loop {
            let answer = self.send(&next, self.retry_policy()).await?;
            let page: Page<T> = answer.read()?;
            if !page.entries.iter().all(&matches) {
                return Err(answer.astray("it shows other locks, as a server does that ignores `name` or `prefix`"));
            }
            entries.extend(page.entries);
            match page.next_cursor {
                Some(cursor) => next = call.clone().query("cursor", cursor),
                None => return Ok(entries),
            }
        }
    }

    /// Ends a hold of another client; the service logs the reason. Needs the admin role.
    pub async fn force_release(&self, name: &str, key: &str, reason: &str) -> Result<ForcedRelease, ClientError> {
        let call = Call::new(Method::DELETE, "/v1/holds").query("name", name).query("key", key);
        let call = call.json(&serde_json::json!({ "reason": reason }));
        self.send(&call, self.retry_policy()).await?.about(name)
    }
}

impl LockQuery {
    fn call(&self) -> Call {
        // The name is in the query: proxies change paths, and a 404 from a wrong address is no free lock.
        let call = Call::new(Method::GET, "/v1/locks");
        let mut call = match &self.name {
            Some(name) => call.query("name", name),
            None => call.query("prefix", &self.prefix),
        };
        for (field, _) in [("held", self.held), ("contended", self.contended)].into_iter().filter(|(_, on)| *on) {
            call = call.query(field, "true");
        }
        call
    }
}
