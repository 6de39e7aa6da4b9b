//! For operators: listings of locks and sessions, the forced release, the members of the cluster, and backups.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Client, ClientError};

/// The most entries that the service puts on a page.
const PAGE: &str = "1000";

/// A backup has failed if nothing of it arrives for this long.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

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
    /// How many holds it has room for; 4294967295 if it is shared.
    pub size: u32,
    /// `exclusive`, `shared` or `counted`; empty from services that do not know it.
    #[serde(default)]
    pub mode: String,
    /// Until somebody may be granted it, after a hold that ended uncleanly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delayed_for_seconds: Option<f64>,
    /// What keeps it from being granted. `None` unless one lock was asked for, and from older services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<LockFreeze>,
    pub queue_length: u32,
    /// Oldest first.
    pub holders: Vec<Holder>,
    /// In the order of their turns, at most a thousand. `None` unless one lock was asked for, and from older services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiters: Option<Vec<Waiter>>,
}

/// The freeze of a lock that lasts longest.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LockFreeze {
    pub target: String,
    /// `name`, `prefix` or `everything`.
    pub r#match: String,
    pub reason: String,
    /// Until it ends by itself.
    pub remaining_seconds: f64,
    /// The same by the clock of the service.
    pub until: String,
}

/// A waiter, as listings show it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Waiter {
    /// How many waiters are ahead of it.
    pub position: u32,
    pub dialect: String,
    pub waiting_for_seconds: f64,
    /// Until it gives up.
    pub remaining_seconds: f64,
    /// The handle of its session.
    pub session: Option<String>,
    pub owner: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// What it asks for: `exclusive`, `shared`, `counted` or `upgrade`; empty from services that do not know it.
    #[serde(default)]
    pub mode: String,
    #[serde(flatten)]
    pub terms: ShownTerms,
}

/// What a hold is, or a waiter asks for, beyond one place in one lock.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct ShownTerms {
    /// How many places of a counted lock it takes, if not 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// How many names it has, if not 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_count: Option<u32>,
    /// What the leader of an election says about itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
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
    #[serde(flatten)]
    pub terms: ShownTerms,
    /// Shown to admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A hold that has ended, as the history of a lock shows it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct EndedHold {
    pub fencing_token: u64,
    pub dialect: String,
    pub mode: String,
    /// As RFC 3339 writes it.
    pub acquired_at: String,
    pub ended_at: String,
    pub ended_seconds_ago: f64,
    pub held_for_seconds: f64,
    /// `released`, `expired`, `forced`, `session-closed`, `session-idle` or `transferred`.
    pub end: String,
    /// The name of the credential that forced the end, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The handle of its session.
    pub session: Option<String>,
    pub owner: Option<String>,
    pub metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    pub terms: ShownTerms,
}

/// The last holds of a lock that have ended.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct LockHistory {
    pub name: String,
    /// Newest first.
    pub ended_holds: Vec<EndedHold>,
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
    /// All names of a hold of several, which has ended under each of them.
    #[serde(default)]
    pub names: Vec<String>,
}

#[derive(Deserialize)]
struct Page<T> {
    #[serde(alias = "locks", alias = "sessions", alias = "freezes")]
    entries: Vec<T>,
    next_cursor: Option<String>,
}

impl Client {
    /// Every lock that matches the query, in the order of their names.
    pub async fn locks(&self, query: &LockQuery) -> Result<Vec<Lock>, ClientError> {
        self.list(query.call(), |lock| query.matches(lock)).await
    }

    /// The first locks that match the query, at most so many; with whether there are more.
    pub async fn locks_page(&self, query: &LockQuery, limit: u32) -> Result<(Vec<Lock>, bool), ClientError> {
        let page = self.page(&query.call().query("limit", limit.to_string()), &|lock| query.matches(lock)).await?;
        Ok((page.entries, page.next_cursor.is_some()))
    }

    /// One lock; `None` if it has neither holder nor waiter.
    pub async fn show_lock(&self, name: &str) -> Result<Option<Lock>, ClientError> {
        let query = LockQuery { name: Some(name.to_owned()), ..LockQuery::default() };
        Ok(self.locks(&query).await?.pop())
    }

    /// The last holds of a lock that have ended, at most so many.
    pub async fn history(&self, name: &str, limit: u32) -> Result<LockHistory, ClientError> {
        let call = Call::new(Method::GET, "/v1/history").query("name", name).query("limit", limit.to_string());
        self.send(&call, self.retry_policy()).await?.about(name)
    }

    /// Every live session.
    pub async fn sessions(&self) -> Result<Vec<SessionEntry>, ClientError> {
        self.list(Call::new(Method::GET, "/v1/sessions"), |_| true).await
    }

    /// All pages of a listing; an error if an entry does not match.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        call: Call,
        matches: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, ClientError> {
        let call = call.query("limit", PAGE);
        let mut entries = Vec::new();
        let mut next = call.clone();
        loop {
            let page = self.page(&next, &matches).await?;
            entries.extend(page.entries);
            match page.next_cursor {
                Some(cursor) => next = call.clone().query("cursor", cursor),
                None => return Ok(entries),
            }
        }
    }

    async fn page<T: DeserializeOwned>(
        &self,
        call: &Call,
        matches: &impl Fn(&T) -> bool,
    ) -> Result<Page<T>, ClientError> {
        let answer = self.send(call, self.retry_policy()).await?;
        let page: Page<T> = answer.read()?;
        if page.entries.iter().all(matches) {
            return Ok(page);
        }
        Err(answer.wrong_response("it shows other locks, as a server does that ignores `name` or `prefix`"))
    }

    /// Ends a hold of another client; the service logs the reason. Needs the admin role.
    pub async fn force_release(&self, name: &str, key: &str, reason: &str) -> Result<ForcedRelease, ClientError> {
        let call = Call::new(Method::DELETE, "/v1/holds").query("name", name).query("key", key);
        let call = call.json(&serde_json::json!({ "reason": reason }));
        self.send(&call, self.retry_policy()).await?.about(name)
    }
}

impl LockQuery {
    fn matches(&self, lock: &Lock) -> bool {
        match &self.name {
            Some(name) => lock.name == *name,
            None => lock.name.starts_with(&self.prefix),
        }
    }

    fn call(&self) -> Call {
        // The name is in the query: proxies change paths, and a 404 from a wrong address is no free lock.
        let call = Call::new(Method::GET, "/v1/locks");
        let call = match &self.name {
            Some(name) => call.query("name", name),
            None => call.query("prefix", &self.prefix),
        };
        let flags = [("held", self.held), ("contended", self.contended)].into_iter().filter(|(_, on)| *on);
        flags.fold(call, |call, (field, _)| call.query(field, "true"))
    }
}

/// The cluster, as the node that answered sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    pub node: u64,
    pub leader: Option<u64>,
    pub term: u64,
    /// `member`, or what keeps the node that answered from being one.
    pub standing: String,
    pub standing_detail: Option<String>,
    pub has_quorum: bool,
    pub feature_level: u32,
    pub applied_index: u64,
    pub members: Vec<Member>,
}

/// One node of the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Member {
    pub node: u64,
    pub address: String,
    pub role: String,
    pub up: bool,
    pub lag_entries: Option<u64>,
}

impl Client {
    /// The members: from the first URL whose node is a member with a quorum, else from the first that answers.
    pub async fn cluster(&self) -> Result<Cluster, ClientError> {
        let serves = |cluster: &Cluster| cluster.standing_detail.is_none() && cluster.has_quorum;
        let call = Call::new(Method::GET, "/v1/cluster");
        let first: Cluster = self.send(&call, self.retry_policy()).await?.read()?;
        if serves(&first) {
            return Ok(first);
        }
        for _ in 1..self.0.bases.len() {
            self.use_next_url();
            let answer = self.attempt(&call, self.retry_policy().attempt).await;
            match answer.and_then(|answer| answer.read::<Cluster>()) {
                Ok(cluster) if serves(&cluster) => return Ok(cluster),
                _ => {}
            }
        }
        Ok(first)
    }

    /// Adds a node without a vote; returns when it has caught up enough.
    pub async fn add_member(&self, node: u64, address: &str) -> Result<Cluster, ClientError> {
        let member = serde_json::json!({ "node": node, "address": address });
        let call = Call::new(Method::POST, "/v1/cluster/members").json(&member);
        self.send(&call, self.once()).await?.read()
    }

    /// Gives a node a vote.
    pub async fn promote_member(&self, node: u64) -> Result<Cluster, ClientError> {
        let call = Call::new(Method::POST, format!("/v1/cluster/members/{node}/promote"));
        self.send(&call, self.once()).await?.read()
    }

    /// Removes a node from the cluster.
    pub async fn remove_member(&self, node: u64) -> Result<Cluster, ClientError> {
        let call = Call::new(Method::DELETE, format!("/v1/cluster/members/{node}"));
        self.send(&call, self.once()).await?.read()
    }

    /// Writes a backup to `out`, and calls `progress` with the bytes written so far. Callers check the file afterwards:
    /// only its end shows that it is complete.
    pub async fn backup(&self, out: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<(), BackupError> {
        let call = Call::new(Method::GET, "/v1/backup");
        let (_, mut response) = self.with_notice(self.open_endless(&call, self.retry_policy().attempt)).await?;
        let mut bytes = 0;
        loop {
            let next =
                tokio::time::timeout(SILENCE_TIMEOUT, response.chunk()).await.map_err(|_| BackupError::Silent)?;
            let Some(chunk) = next.map_err(|error| BackupError::BrokenOff(super::error::innermost(&error)))? else {
                return Ok(());
            };
            out.write_all(&chunk).map_err(BackupError::Write)?;
            bytes += chunk.len() as u64;
            progress(bytes);
        }
    }
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the backup broke off: {0}")]
    BrokenOff(String),
    #[error("nothing of the backup arrived for {} seconds", SILENCE_TIMEOUT.as_secs())]
    Silent,
    #[error("the backup cannot be written: {0}")]
    Write(std::io::Error),
}
