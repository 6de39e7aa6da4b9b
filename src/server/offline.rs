//! What the command line does with backups while no server runs.

pub use crate::engine::{BackupCounts, BackupError, RestoreOptions, check, check_address, restore};
