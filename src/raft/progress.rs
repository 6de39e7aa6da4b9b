//! Where the log stands.

/// Where the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub last_log_index: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
    /// Bytes applied since the last snapshot, which is about what the log occupies.
    pub log_bytes: u64,
}
