//! Backups: taken while the service goes on, read back offline.

mod file;
mod online;
mod restore;

pub use file::{BackupReader, BackupWriter};
pub use online::{Backup, Backups};
pub use restore::{BackupCounts, BackupError, RestoreOptions, check, restore};
