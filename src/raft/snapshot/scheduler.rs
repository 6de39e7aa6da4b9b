//! Asks openraft for snapshots, and to purge what they cover, when the policy says so.

use std::sync::Arc;
use std::time::Duration;

use crate::raft::snapshot::policy::SnapshotPolicy;
use crate::raft::types::Raft;

const RETRY_DELAY: Duration = Duration::from_millis(100);

/// After a snapshot that did not fit.
const UNFIT_RETRY_DELAY: Duration = Duration::from_secs(2);

/// openraft drops a request that arrives before it has noticed the end of the last build, or while a follower is sent
/// what should be purged, so that asking once is not enough.
pub async fn take_snapshots(raft: Raft, policy: Arc<SnapshotPolicy>) {
    loop {
        let purged = raft.data_metrics().borrow().purged.map(|id| id.index);
        let asked = if policy.is_wanted() {
            raft.trigger().snapshot().await
        } else if let Some(upto) = policy.purge_upto().filter(|upto| Some(*upto) > purged) {
            raft.trigger().purge_log(upto).await
        } else if policy.is_unfit() {
            // A snapshot that is requested meanwhile waits as long.
            tokio::time::sleep(UNFIT_RETRY_DELAY).await;
            policy.retry();
            continue;
        } else {
            policy.changed().await;
            continue;
        };
        if asked.is_err() {
            return;
        }
        drop(tokio::time::timeout(RETRY_DELAY, policy.changed()).await);
    }
}
