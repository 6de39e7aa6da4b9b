//! The members of the cluster, and backups.

use std::io::Write;
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::{Client, ClientError};

/// A backup has failed if nothing of it arrives for this long.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

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

impl Cluster {
    fn serves(&self) -> bool {
        self.standing_detail.is_none() && self.has_quorum
    }
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
        let call = Call::new(Method::GET, "/v1/cluster");
        let first: Cluster = self.send(&call, self.retry_policy()).await?.read()?;
        if first.serves() {
            return Ok(first);
        }
        for _ in 1..self.0.bases.len() {
            self.use_next_url();
            let answer = self.attempt(&call, self.retry_policy().attempt).await;
            match answer.and_then(|answer| answer.read::<Cluster>()) {
                Ok(cluster) if cluster.serves() => return Ok(cluster),
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
        let mut response = self.with_notice(self.recorded(self.open(&call, self.once().attempt))).await?;
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
