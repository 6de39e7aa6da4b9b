//! The start of a node without peers: it applies what its log holds, and then leads in a term of its own; and its snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openraft::{BasicNode, CommittedLeaderId, RaftSnapshotBuilder};

use crate::base::fatal;
use crate::raft::error::NodeStartError;
use crate::raft::leadership::Leadership;
use crate::raft::log::node_log::NodeLog;
use crate::raft::snapshot::policy::{SnapshotPolicy, SnapshotStep};
use crate::raft::standalone::node::{Standalone, State};
use crate::raft::state_machine::StateMachine;
use crate::raft::types::{EntryPayload, LogId, Membership, NodeId, StorageError, StoredMembership, Vote};

/// Applies what is in the log: all of it is committed, because this node is the only voter. Returns the node, and the task
/// that has it lead.
pub async fn start(
    id: NodeId,
    mut log: NodeLog,
    mut machine: StateMachine,
) -> Result<(Arc<Standalone>, impl Future<Output = ()> + Send + 'static), NodeStartError> {
    let (state, vote) = log.state().await.map_err(NodeStartError::engine)?;
    let last = state.last_log_id.max(machine.applied());
    apply_log(&mut log, &mut machine, last).await.map_err(NodeStartError::engine)?;
    let is_new = last.is_none() && vote.is_none();
    if !is_new {
        check_only_voter(id, machine.membership())?;
    }
    let term = vote.map_or(0, |vote| vote.leader_id.term).max(last.map_or(0, |last| last.leader_id.term));
    let state = State::new(machine, log.clone(), last);
    let leadership = Leadership { is_leader: false, term, leader: None };
    let node = Arc::new(Standalone::new(id, state, leadership));
    let led = node.clone();
    let lead = async move {
        // The node ends while its disk is full, or ends the process.
        if log.until_writable().await.is_ok() {
            lead(led, log, term + 1, is_new).await;
        }
    };
    Ok((node, lead))
}

async fn apply_log(log: &mut NodeLog, machine: &mut StateMachine, last: Option<LogId>) -> Result<(), StorageError> {
    let end = last.map_or(0, |last| last.index + 1);
    let mut next = machine.applied().map_or(0, |id| id.index + 1);
    while next < end {
        let entries = log.entries(next, end).await?;
        next = entries.last().map_or(end, |entry| entry.log_id.index + 1);
        entries.into_iter().for_each(|entry| machine.apply_entry(entry));
    }
    machine.announce();
    Ok(())
}

fn check_only_voter(node_id: NodeId, membership: &StoredMembership) -> Result<(), NodeStartError> {
    let voters: Vec<NodeId> = membership.voter_ids().collect();
    let members: Vec<NodeId> = membership.nodes().map(|(id, _)| *id).collect();
    match members.contains(&node_id) {
        true if voters == [node_id] => Ok(()),
        true => Err(NodeStartError::PeersNeeded { node_id, voters: voters.len() }),
        false => Err(NodeStartError::NotMember { node_id, members }),
    }
}

/// A new leadership has a term of its own: the log may have lost its end since the last one.
async fn lead(node: Arc<Standalone>, mut log: NodeLog, term: u64, is_new: bool) {
    let id = node.id;
    if is_new {
        let nodes = BTreeMap::from([(id, BasicNode { addr: String::new() })]);
        let first = Membership::new(vec![BTreeSet::from([id])], nodes);
        _ = node.write(EntryPayload::Membership(first)).await;
    }
    if log.save_vote(&Vote::new_committed(term, id)).await.is_err() {
        return;
    }
    node.begin_leadership(CommittedLeaderId::new(term, id));
    if node.write(EntryPayload::Blank).await.is_ok() {
        node.leadership.send_replace(Leadership { is_leader: true, term, leader: Some(id) });
    }
}

/// Takes snapshots, and purges the log that they cover. Runs until the node has stopped.
pub async fn take_snapshots(node: Arc<Standalone>, policy: Arc<SnapshotPolicy>) {
    let mut purged = None;
    loop {
        match policy.next_step(purged).await {
            SnapshotStep::Take => {
                let Some(mut builder) = node.snapshot_builder() else { return };
                // It fails only while the runtime goes down: every other error has ended the process.
                if builder.build_snapshot().await.is_err() {
                    return;
                }
            }
            SnapshotStep::PurgeLog { upto } => {
                let Some(mut log) = node.log() else { return };
                log.purge(upto).await.unwrap_or_else(|error| fatal::abort("cannot purge the log", &error));
                purged = Some(upto);
            }
        }
    }
}
