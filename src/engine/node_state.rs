//! Follows the state of this node in its cluster: when it is removed, nothing that waits here can be answered any more.

use super::command_queue::CommandQueue;
use super::error::EngineError;
use super::events::EventLog;
use super::members::{MembershipChange, NodeHealth};
use super::table_host::TableHost;
use crate::raft::{NodeState, RemovedNode};
use std::sync::Arc;
use tokio::sync::watch;

pub struct NodeStateWatch {
    pub health: Arc<NodeHealth>,
    pub queue: Arc<CommandQueue>,
    pub host: Arc<TableHost>,
    pub events: Arc<EventLog>,
}

impl NodeStateWatch {
    /// Runs until consensus is gone.
    pub async fn run(self, mut states: watch::Receiver<NodeState>) {
        loop {
            let state = states.borrow_and_update().clone();
            match self.health.note_state(&state) {
                Some(MembershipChange::Removed) => self.abandon_requests(&state),
                Some(MembershipChange::AddedAgain) => tracing::info!("this node is a member of its cluster again"),
                None => {}
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    fn abandon_requests(&self, removed: &NodeState) {
        tracing::error!("{removed}");
        let error = EngineError::Removed(RemovedNode { node: self.health.node() });
        self.queue.refuse_waiting(error);
        self.host.requests.abandon(error);
        self.events.wake();
    }
}
