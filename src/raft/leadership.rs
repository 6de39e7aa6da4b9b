//! Watches openraft: who leads, and whether it has failed.

use std::sync::Arc;

use openraft::error::Fatal;
use openraft::metrics::RaftServerMetrics;
use openraft::{BasicNode, ServerState};
use tokio::sync::watch;

use crate::base::fatal;
use crate::raft::log::monitor::LogMonitor;
use crate::raft::types::{NodeId, Raft};

/// Who leads, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leadership {
    pub is_leader: bool,
    pub term: u64,
    pub leader: Option<u64>,
}

/// Reduces openraft's view to ours, and ends the process where openraft has failed.
pub fn watch_leadership(raft: &Raft, log: Arc<LogMonitor>) -> watch::Receiver<Leadership> {
    let mut server = raft.server_metrics();
    let metrics = raft.metrics();
    let (sender, receiver) = watch::channel(view(&server.borrow_and_update()));
    tokio::spawn(async move {
        while server.changed().await.is_ok() {
            let now = view(&server.borrow_and_update());
            log_leader(sender.borrow().leader, &now);
            sender.send_if_modified(|before| std::mem::replace(before, now) != now);
        }
        sender.send_modify(|leadership| leadership.is_leader = false);
        // A process whose log has ended can answer no request. It must end too, so that its supervisor restarts it.
        match &metrics.borrow().running_state {
            Err(Fatal::Stopped) => {}
            // The node was shut down while its log waited for disk space.
            _ if log.space.is_closing() => {}
            Err(error) => fatal::abort("the consensus engine has failed", error),
            // It had no time to report its failure.
            Ok(()) => fatal::abort("the consensus engine has failed", &Fatal::<NodeId>::Panicked),
        }
    });
    receiver
}

/// Logs a change of leader that a follower sees; a leader logs when it serves.
fn log_leader(before: Option<NodeId>, now: &Leadership) {
    match now.leader {
        leader if leader == before || now.is_leader => {}
        Some(leader) => tracing::info!(leader, term = now.term, "node {leader} leads"),
        None => tracing::info!(term = now.term, "no leader is known"),
    }
}

fn view(server: &RaftServerMetrics<NodeId, BasicNode>) -> Leadership {
    Leadership {
        is_leader: server.state == ServerState::Leader,
        term: server.vote.leader_id.term,
        leader: server.current_leader,
    }
}
