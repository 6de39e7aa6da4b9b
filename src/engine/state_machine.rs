//! What the log drives: applies entries to the table, and passes on what they did to the events and the digests.

use super::digests::DigestLog;
use super::events::EventLog;
use super::table_host::TableHost;
use crate::raft::{Frozen, Machine};
use std::io::{Read, Write};
use std::sync::Arc;

pub struct StateMachine {
    pub host: Arc<TableHost>,
    pub events: Arc<EventLog>,
    pub digests: Arc<DigestLog>,
}

impl Machine for StateMachine {
    fn apply(&mut self, index: u64, payload: &[u8]) {
        let applied = self.host.apply(index, payload);
        if let Some((origin, table_id)) = applied.opened {
            self.events.begin_at(origin, table_id);
        }
        self.events.append(applied.event_index, applied.events);
        let (before, after) = applied.time;
        if self.digests.is_due(applied.began_leadership, before, after) {
            self.digests.add(index, self.host.freeze());
        }
    }

    fn freeze(&self) -> Frozen {
        let frozen = self.host.freeze();
        Box::new(move |out: &mut dyn Write| frozen.write_to(out))
    }

    fn restore(&mut self, index: u64, snapshot: &mut dyn Read) -> Result<(), String> {
        let restored = self.host.restore(index, snapshot)?;
        self.events.restored(restored.event_index, restored.table_id);
        self.host.requests.resume_from(&self.host.table());
        Ok(())
    }
}
