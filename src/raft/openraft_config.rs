//! How openraft is configured.

use openraft::{Config, ConfigError, SnapshotPolicy};

use crate::raft::error::NodeStartError;
use crate::raft::options::RaftOptions;

/// Bounds the number of tiny entries only.
const ENTRIES_PER_MESSAGE: u64 = 4096;

pub fn start_error(error: impl std::fmt::Display) -> NodeStartError {
    NodeStartError::Engine(error.to_string())
}

/// openraft's timers are off, see `elections.rs`; what is left of them is how long it protects a leader that was just heard
/// from candidates: a little less than any of them waits.
pub fn openraft_config(options: &RaftOptions) -> Result<Config, ConfigError> {
    let lease = (options.election_min.as_millis() as u64 * 4 / 5).max(4);
    let config = Config {
        cluster_name: "latchd".to_owned(),
        enable_elect: false,
        enable_heartbeat: false,
        heartbeat_interval: lease / 2,
        election_timeout_min: lease - 1,
        election_timeout_max: lease,
        // Entries vary from bytes to a megabyte, so their number says nothing: `snapshot/policy.rs` decides by bytes when
        // a snapshot is taken and what is kept behind it, `log/range.rs` how much goes into one message.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        max_payload_entries: ENTRIES_PER_MESSAGE,
        ..Config::default()
    };
    config.validate()
}
