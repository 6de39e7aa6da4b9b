//! Brings the engine up on a log, and down again.

use super::clock;
use super::cluster::ClusterOptions;
use super::face::{Engine, Inner};
use super::intake::{BatchBounds, Intake};
use super::machine::{LockMachine, Shared};
use super::pending::Pending;
use super::proposer::Proposer;
use super::raft::{PeerService, Pending as Answer, RaftNode, RaftOptions, StartError, Store, free_bytes};
use super::random::random_u64;
use crate::domain::{Incarnation, Limits};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How often the free space of the data disk is looked at.
const FREE_SPACE_INTERVAL: Duration = Duration::from_millis(500);

/// Seconds since 1970 times this is where the tokens of a new service begin: room for a million grants a second
/// before a service that lost its data could give a token again. 2^53 is reached in the year 2242.
const TOKENS_PER_SECOND: u64 = 1 << 20;

pub struct EngineOptions {
    /// `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// False only to show that a power loss is noticed.
    pub fsync: bool,
    pub snapshot_log_bytes: u64,
    /// Below this, new holds and sessions are refused.
    pub min_free_bytes: u64,
    pub limits: Limits,
    pub session_idle_timeout: Duration,
    pub batch: BatchBounds,
    pub queue_commands_max: usize,
    pub cluster: ClusterOptions,
}

impl Engine {
    /// Returns when this node leads and everything that was ever answered is back.
    pub async fn start(options: EngineOptions) -> Result<Engine, StartError> {
        let incarnation = Incarnation(random_u64());
        let shared = Arc::new(Shared::new(Intake::new(options.queue_commands_max), Pending::new(incarnation)));
        let store = match &options.data_dir {
            None => Store::Memory,
            Some(dir) => Store::Disk { dir: dir.clone(), fsync: options.fsync },
        };
        let raft_options = RaftOptions {
            snapshot_log_bytes: options.snapshot_log_bytes,
            ..RaftOptions::new(options.cluster.node_id, store)
        };
        let raft = RaftNode::start(raft_options, LockMachine(shared.clone()), Arc::new(Alone)).await?;
        let (leading, mut leads) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let proposer = Proposer {
            shared: shared.clone(),
            raft: raft.clone(),
            incarnation,
            first_token: clock::unix_seconds().saturating_mul(TOKENS_PER_SECOND),
            limits: options.limits.clone(),
            bounds: options.batch,
            leading,
            sequence: 0,
            epoch: 0,
        };
        let proposer = tokio::spawn(proposer.run(stopped.clone()));
        let disk_nearly_full = Arc::new(AtomicBool::new(false));
        if let Some(dir) = options.data_dir {
            look_at_free_space(&dir, options.min_free_bytes, &disk_nearly_full);
            tokio::spawn(watch_free_space(dir, options.min_free_bytes, disk_nearly_full.clone(), stopped));
        }
        // An error means that the proposer is gone, which the first request will be told.
        let _ = leads.wait_for(|leads| *leads).await;
        let inner = Inner {
            shared,
            raft,
            leads,
            stop,
            proposer: proposer.abort_handle(),
            limits: options.limits,
            session_idle_timeout: options.session_idle_timeout,
            draining: AtomicBool::new(false),
            disk_nearly_full,
            listings: tokio::sync::Semaphore::new(1),
            backups: Arc::new(tokio::sync::Semaphore::new(1)),
            cluster: options.cluster,
        };
        Ok(Engine(Arc::new(inner)))
    }

    /// Ends every wait with an answer and refuses new holds; releases and renewals still pass.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.shared.pending.drain();
    }

    /// Stops the log. Nothing is answered afterwards.
    pub async fn stop(&self) {
        self.0.stop.send_replace(true);
        self.0.raft.shutdown().await;
        self.0.proposer.abort();
    }
}

async fn watch_free_space(dir: PathBuf, min_bytes: u64, nearly_full: Arc<AtomicBool>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(FREE_SPACE_INTERVAL) => look_at_free_space(&dir, min_bytes, &nearly_full),
        }
    }
}

fn look_at_free_space(dir: &Path, min_bytes: u64, nearly_full: &AtomicBool) {
    let free = match free_bytes(dir) {
        Ok(free) => free,
        Err(error) => return tracing::warn!(%error, "the free space of the data disk cannot be read"),
    };
    let full = free < min_bytes;
    if nearly_full.swap(full, Ordering::Relaxed) != full {
        match full {
            true => tracing::error!(free, min_bytes, "the data disk is nearly full: new locks are refused"),
            false => tracing::info!(free, min_bytes, "the data disk has room again"),
        }
    }
}

/// This node runs alone: nobody asks it anything.
struct Alone;

impl PeerService for Alone {
    fn call(&self, _from: u64, _request: Bytes) -> Answer<'_, Bytes> {
        Box::pin(std::future::ready(Bytes::new()))
    }

    fn known_store(&self, _node: u64) -> Option<[u8; 16]> {
        None
    }
}
