//! The bytes of log entries, and of the values that entries and snapshots share: our own versioned encoding.
//!
//! Integers are varints, ids are 16 raw bytes, texts follow their length.

mod command;
mod entry;
pub(super) mod values;

use super::level;
use crate::base::byte_enum;

byte_enum! {
    /// The version byte of an entry or snapshot.
    pub(super) enum Format {
        /// A single node. Still read, no longer written.
        SingleNode = 1,
        /// With nodes, delivery states and idempotency keys.
        Clusters = 2,
        /// Snapshots with an event origin; entries did not change.
        EventOrigins = 3,
        /// Snapshots with a table id; entries did not change.
        TableIds = 4,
        /// Entries and snapshots that name callers.
        Callers = 5,
    }
}

impl Format {
    /// Nodes of older releases may have to read a snapshot of a table below their level.
    pub(super) fn of_snapshot(level: u32) -> Format {
        match level {
            level::CALLERS.. => Format::Callers,
            level::TABLE_IDS.. => Format::TableIds,
            level::EVENT_ORIGINS => Format::EventOrigins,
            _ => Format::Clusters,
        }
    }
}
