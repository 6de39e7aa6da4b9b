//! Checks a backup, or makes a new data directory from it. No engine runs meanwhile.

use super::file::backup_reader;
use crate::base::clock::check_wall_clock;
use crate::base::named_file;
use crate::base::random::random_u64;
use crate::domain::view::Counts;
use crate::domain::{
    Body, Entry, Event, FEATURE_LEVEL, Incarnation, LeaderStart, NodeId, SnapshotError, StoreId, Table, Timestamp,
};
use crate::engine::cluster_clock::first_token;
use crate::raft::{NodeStartError, bootstrap_from_snapshot};
use std::fmt;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// What a backup holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackupCounts {
    pub locks: u64,
    pub holds: u64,
    pub waiters: u64,
    pub sessions: u64,
    pub bytes: u64,
}

impl BackupCounts {
    fn of(table: &Table, bytes: u64) -> BackupCounts {
        let Counts { locks, holds, waiters, sessions, .. } = table.counts();
        BackupCounts { locks, holds, waiters, sessions, bytes }
    }
}

impl fmt::Display for BackupCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BackupCounts { locks, holds, waiters, sessions, bytes } = self;
        write!(f, "{bytes} bytes, checked: locks {locks}, holds {holds}, waiting {waiters}, sessions {sessions}")
    }
}

/// Into which directory a backup is restored, and which parts of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RestoreOptions {
    /// New, or empty.
    pub data_dir: PathBuf,
    /// The only member of the cluster that starts from it.
    pub node_id: u64,
    /// The URL under which other nodes find this one; empty for a node that runs alone.
    pub advertise: String,
    pub keep_sessions: bool,
    pub keep_holds: bool,
    /// Begin at the wall clock's time, even if that is implausible.
    pub trust_clock: bool,
}

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is no whole backup: {reason}; take a new one, or use an older one", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(transparent)]
    Store(#[from] NodeStartError),
}

/// Reads a backup to its end, and checks every checksum and every record.
pub fn check(backup: &Path) -> Result<BackupCounts, BackupError> {
    read(backup).map(|(_, contents)| contents)
}

/// Makes a data directory from a backup. A node that is started on it is a cluster of one that continues from there. Its
/// tokens begin far above those of the backup, because the service may have given more of them before it was lost.
/// Returns what the new directory holds.
pub fn restore(backup: &Path, options: &RestoreOptions) -> Result<BackupCounts, BackupError> {
    check_wall_clock(options.trust_clock).map_err(NodeStartError::from)?;
    let (mut table, contents) = read(backup)?;
    // The ids of its events are new too.
    let first = first_token();
    table.begin_from_backup(first, random_u64(), options.keep_sessions, options.keep_holds);
    let mut bytes = Vec::new();
    let written = table.freeze().write_to(&mut bytes);
    written.map_err(|source| BackupError::Unreadable { path: backup.to_owned(), source })?;
    // Read as a start will read it: what a start would refuse is refused now.
    let trial = Table::restore(&mut bytes.as_slice());
    let trial = trial.map_err(|error| BackupError::Damaged { path: backup.to_owned(), reason: error.to_string() })?;
    check_sound(trial).map_err(|reason| BackupError::Damaged { path: backup.to_owned(), reason })?;
    bootstrap_from_snapshot(&options.data_dir, options.node_id, &options.advertise, first, bytes)?;
    Ok(BackupCounts::of(&table, contents.bytes))
}

/// Tries what a start does: a leadership begins, and then all deadlines pass.
fn check_sound(mut table: Table) -> Result<(), String> {
    if table.level() > FEATURE_LEVEL {
        let level = table.level();
        return Err(format!("a newer release made it: it has feature level {level}, this one knows {FEATURE_LEVEL}"));
    }
    let start = LeaderStart {
        first_token: 0,
        limits: *table.limits(),
        node: NodeId(1),
        incarnation: Incarnation(1),
        store: StoreId([1; 16]),
        level: table.level(),
        confirm: false,
        quotas: None,
    };
    let begun = table.apply(Entry { at: table.now(), epoch: 0, body: Body::LeaderStart(start) });
    let broken = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Broken(_)));
    let refused = "its locks and sessions do not fit each other".to_owned();
    if begun.is_ok_and(|applied| broken(&applied.events)) {
        return Err(refused);
    }
    let counts = table.counts();
    let entries =
        64 + (counts.holds + counts.waiters + counts.sessions + counts.idempotency_keys + counts.remembered_sizes) / 64;
    for _ in 0..entries {
        let body = Body::Batch { touches: Vec::new(), more_touches: false, commands: Vec::new() };
        let entry = Entry { at: Timestamp::MAX, epoch: table.epoch(), body };
        if table.apply(entry).is_ok_and(|applied| broken(&applied.events)) {
            return Err(refused);
        }
        if table.next_deadline().is_none_or(|deadline| !deadline.is_past(table.now())) {
            return Ok(());
        }
    }
    Err(refused)
}

fn read(backup: &Path) -> Result<(Table, BackupCounts), BackupError> {
    let unreadable = |source| BackupError::Unreadable { path: backup.to_owned(), source };
    let damaged = |reason: String| BackupError::Damaged { path: backup.to_owned(), reason };
    let file = named_file::open_regular(backup).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    let reported = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => damaged(error.to_string()),
        _ => unreadable(error),
    };
    let mut reader = backup_reader(BufReader::new(file)).map_err(reported)?;
    let table = Table::restore(&mut reader).map_err(|error| match error {
        SnapshotError::Io(error) => reported(error),
        error @ SnapshotError::Damaged { .. } => damaged(error.to_string()),
    })?;
    let contents = BackupCounts::of(&table, bytes);
    Ok((table, contents))
}
