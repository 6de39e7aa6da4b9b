//! A store that the caller hands in instead of a data directory, such as the simulated disk of a test.

use std::fmt::Debug;

use bytes::Bytes;

use crate::base::BoxFuture;

/// Keeps the log and the snapshot of one node beyond the end of its process. Ids and payloads are bytes in the encoding
/// of the data directory, which orders ids as the log does.
pub trait StableStore: Debug + Send + Sync + 'static {
    /// The identity of the store, as the file `store-id` of a data directory.
    fn id(&self) -> [u8; 16];

    /// The log as it is stored. Read at the start of a node; what is read must survive a loss of power.
    fn load(&self) -> StoredLog;

    /// Writes a change after all those before it. It may be lost until a `sync` that begins later has ended.
    fn write(&self, change: LogChange);

    /// Resolves when everything that was written before this call would survive a loss of power.
    fn sync(&self) -> BoxFuture<'static, ()>;

    /// The newest snapshot, as a file.
    fn snapshot(&self) -> Option<Bytes>;

    /// Replaces the snapshot; it survives a loss of power when this returns.
    fn save_snapshot(&self, file: Bytes);
}

/// A log that is stored.
#[derive(Debug, Default, Clone)]
pub struct StoredLog {
    pub vote: Option<Bytes>,
    pub committed: Option<Bytes>,
    /// The id of the last entry that was purged.
    pub purged: Option<Bytes>,
    /// Consecutive; the first one follows `purged` where anything was purged.
    pub entries: Vec<StoredEntry>,
    /// The id of the newest entry of an end that was lost although it was synced.
    pub lost: Option<Bytes>,
}

#[derive(Debug, Clone)]
pub struct StoredEntry {
    pub index: u64,
    pub id: Bytes,
    pub payload: Bytes,
}

/// One write to a stored log.
#[derive(Debug, Clone)]
pub enum LogChange {
    Vote(Bytes),
    /// Not waited for: losing it costs nothing but a later apply.
    Committed(Bytes),
    Append(Vec<StoredEntry>),
    /// Removes the entries from this index on.
    Truncate {
        from: u64,
    },
    /// Removes the entries up to this one, which a snapshot covers.
    Purge {
        index: u64,
        id: Bytes,
    },
}
