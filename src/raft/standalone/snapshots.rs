//! Takes snapshots, and purges the log that they cover, when the policy says so.

use std::sync::Arc;

use openraft::RaftSnapshotBuilder;

use crate::base::fatal;
use crate::raft::snapshot::policy::{SnapshotPolicy, UNFIT_RETRY_DELAY};
use crate::raft::standalone::node::Standalone;
use crate::raft::types::StorageError;

/// Runs until the node has stopped.
pub async fn take_snapshots(node: Arc<Standalone>, policy: Arc<SnapshotPolicy>) {
    let mut purged = None;
    loop {
        if policy.is_wanted() {
            let Some(mut builder) = node.snapshot_builder() else { return };
            // It fails only while the runtime goes down: every other error has ended the process.
            if builder.build_snapshot().await.is_err() {
                return;
            }
        } else if let Some(upto) = policy.purge_upto().filter(|upto| Some(*upto) > purged) {
            purge(&node, upto).await.unwrap_or_else(|error| fatal::abort("cannot purge the log", &error));
            purged = Some(upto);
        } else if policy.is_unfit() {
            // A snapshot that is requested meanwhile waits as long.
            tokio::time::sleep(UNFIT_RETRY_DELAY).await;
            policy.retry();
        } else {
            policy.changed().await;
        }
    }
}

async fn purge(node: &Standalone, upto: u64) -> Result<(), StorageError> {
    match node.log() {
        Some(mut log) => log.purge(upto).await,
        None => Ok(()),
    }
}
