//! Backups: taken while the service goes on, read back offline.

mod file;
mod online;
mod restore;

pub use file::{backup_reader, backup_writer};
pub use online::{Backup, Backups};
pub use restore::{BackupCounts, BackupError, RestoreOptions, check, restore};
