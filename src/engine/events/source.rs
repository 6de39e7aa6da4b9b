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
    /// The id after the last event of the table.
    pub fn last_id(&self) -> EventId {
        self.table_and_last_id().1
    }

    /// The table, and the id after its last event.
    pub fn table_and_last_id(&self) -> (RwLockReadGuard<'_, Table>, EventId) {
        let (table, index) = self.host.table_and_event_index();
        let id = EventId::after_entry(index, table.table_id());
        (table, id)
    }
}
