//! The parts of a running engine, how it ends, and the service in numbers.

use super::backup::Backups;
use super::disk_space::DiskSpace;
use super::error::EngineError;
use super::events::{EventLog, EventSource};
use super::members::ClusterMembers;
use super::peer_service::RequestHandler;
use super::reads::TableReader;
use super::requests::Submitter;
use super::table_host::Stats;
use crate::base::DrainPhase;
use crate::base::histogram::{Distribution, Histogram};
use crate::domain::view::Counts;
use crate::raft::Progress;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Another node needs its election, some hundred milliseconds. After this the node ends all the same.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Parts {
    pub members: Arc<ClusterMembers>,
    pub reader: Arc<TableReader>,
    pub events: Arc<EventLog>,
    pub event_source: Arc<EventSource>,
    pub submitter: Submitter,
    pub backups: Backups,
    pub disk_space: Arc<DiskSpace>,
    pub commit_time: Arc<Histogram>,
    /// Consensus knows it only weakly.
    pub _handler: Arc<RequestHandler>,
    pub stop: watch::Sender<bool>,
    /// They end with the engine.
    pub tasks: Vec<AbortHandle>,
}

impl Parts {
    pub fn close(&self) {
        self.submitter.options.drain.enter(DrainPhase::Closing);
        self.reader.host.requests.close();
        self.events.end();
    }

    pub async fn transfer_leadership(&self) -> bool {
        let ClusterMembers { raft, queue, health, .. } = &*self.members;
        if health.is_alone() || !health.leads() {
            return !health.is_alone();
        }
        queue.request_transfer();
        let mut leadership = raft.leadership();
        let taken = leadership.wait_for(|now| !now.is_leader && now.leader.is_some());
        drop(tokio::time::timeout(TRANSFER_TIMEOUT, taken).await);
        true
    }

    pub async fn stop(&self) {
        self.members.queue.close(EngineError::ShuttingDown);
        self.events.end();
        self.stop.send_replace(true);
        self.members.raft.shutdown().await;
        self.tasks.iter().for_each(AbortHandle::abort);
    }

    pub fn overview(&self) -> Overview {
        let TableReader { raft, host, clock, health, .. } = &*self.reader;
        let (counts, table_bytes, table_bytes_max, history) = {
            let table = host.table();
            (table.counts(), table.bytes(), table.limits().table_bytes_max, table.history_size())
        };
        Overview {
            counts,
            table_bytes,
            table_bytes_max,
            history_holds: history.0 as u64,
            history_bytes: history.1,
            stats: host.counters.read(),
            leader: health.leads(),
            term: raft.current_leadership().term,
            log: raft.progress(),
            disk_nearly_full: self.disk_space.is_nearly_full(),
            disk_reserve_bytes: self.disk_space.reserve_bytes(),
            event_readers: self.events.subscription_count(),
            batch: host.batch_sizes.read(),
            commit: self.commit_time.read(),
            wait: self.submitter.wait_time.read(),
            flush: raft.flushes(),
            flush_stalled: raft.flush_stalled(),
            uptime: clock.age(),
        }
    }
}

impl Drop for Parts {
    /// A subscription may outlive the engine, and nothing would wake it any more.
    fn drop(&mut self) {
        self.events.end();
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// The numbers of this node; the help texts of `server/engine_metrics.rs` tell what each is.
pub struct Overview {
    pub counts: Counts,
    /// What the table takes in memory by its own count, and may take; 0: no bound.
    pub table_bytes: u64,
    pub table_bytes_max: u64,
    /// How many ended holds are remembered, and in how many bytes.
    pub history_holds: u64,
    pub history_bytes: u64,
    pub stats: Stats,
    pub leader: bool,
    pub term: u64,
    pub log: Progress,
    pub disk_nearly_full: bool,
    pub disk_reserve_bytes: u64,
    pub event_readers: u64,
    pub batch: Distribution,
    pub commit: Distribution,
    pub wait: Distribution,
    pub flush: Distribution,
    pub flush_stalled: Duration,
    /// Since this process started.
    pub uptime: Duration,
}
