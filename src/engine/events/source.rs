//! What subscriptions read from: the event log, and the table that it belongs to.

use super::id::EventId;
use super::log::EventLog;
use crate::domain::Table;
use crate::engine::members::NodeHealth;
use crate::engine::reads::TableReader;
use crate::engine::table_host::TableHost;
use parking_lot::RwLockReadGuard;
use std::sync::Arc;

pub struct EventSource {
    pub log: Arc<EventLog>,
    pub host: Arc<TableHost>,
    pub reader: Arc<TableReader>,
    pub health: Arc<NodeHealth>,
}

impl EventSource {
    /// The place after the last event of the table.
    pub fn place(&self) -> EventId {
        self.table_and_place().1
    }

    /// The table, and the place after its last event.
    pub fn table_and_place(&self) -> (RwLockReadGuard<'_, Table>, EventId) {
        let (table, number) = self.host.table_and_entry_number();
        let place = EventId::behind(number, table.table_id());
        (table, place)
    }
}
