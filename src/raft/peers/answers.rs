//! Answers the requests of other nodes.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use crate::base::fatal;
use crate::mutants::planted;
use crate::raft::codec::{decode, encode};
use crate::raft::election::elections::Elections;
use crate::raft::error::replace_advice;
use crate::raft::monitors::Monitors;
use crate::raft::peers::authorization::VouchedMembers;
use crate::raft::peers::connections::Peers;
use crate::raft::peers::frame::MessageKind;
use crate::raft::peers::hello::LocalNode;
use crate::raft::types::{LogId, NodeId, Raft, TypeConfig};

/// What answering takes.
#[derive(Clone)]
pub struct PeerServer {
    pub local: Arc<LocalNode>,
    pub peers: Peers,
    pub raft: Raft,
    pub elections: Arc<Elections>,
    pub monitors: Monitors,
    pub vouched: VouchedMembers,
}

impl PeerServer {
    pub async fn answer(&self, from: NodeId, kind: MessageKind, body: Bytes) -> io::Result<Bytes> {
        match kind {
            MessageKind::Append => self.append(from, decode(&body)?).await,
            MessageKind::Vote => self.vote(from, decode(&body)?).await,
            MessageKind::PreVote => Ok(encode(&self.elections.grants_pre_vote(&self.raft, decode(&body)?))),
            MessageKind::TransferLeadership => {
                Ok(encode(&self.elections.accept_transfer(&self.raft, from, decode(&body)?).await))
            }
            MessageKind::Call => Ok(self.local.service.call(from, body).await),
            MessageKind::Members => Ok(self.local.encoded_members()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a request")),
        }
    }

    async fn vote(&self, from: NodeId, request: VoteRequest<NodeId>) -> io::Result<Bytes> {
        self.local.check_vote(from, &request.vote, false)?;
        if !self.elections.may_vote_for(&self.raft, request.last_log_id) {
            let (vote, last_log_id) = (self.raft.metrics().borrow().vote, None);
            return Ok(encode(&VoteResponse { vote, vote_granted: false, last_log_id }));
        }
        let _hearing = self.elections.hear();
        let answer = self.raft.vote(request).await.map_err(io::Error::other)?;
        if answer.vote_granted {
            self.elections.restart_timer();
        }
        Ok(encode(&answer))
    }

    async fn append(&self, from: NodeId, request: AppendEntriesRequest<TypeConfig>) -> io::Result<Bytes> {
        self.local.check_vote(from, &request.vote, true)?;
        self.check_applied(from, &request);
        let _hearing = self.elections.hear();
        let answer = self.raft.append_entries(request).await.map_err(io::Error::other)?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.elections.restart_timer();
        }
        Ok(encode(&answer))
    }

    /// Ends the process if the leader has other entries than those that are applied here: one of the two nodes has lost
    /// what it acknowledged, and nothing that is read here can be trusted any more.
    ///
    /// A former leader that does not know yet that it was replaced may have other entries of its own, so only a request of
    /// the newest known leadership is judged.
    fn check_applied(&self, from: NodeId, request: &AppendEntriesRequest<TypeConfig>) {
        let mut ids = request.prev_log_id.iter().chain(request.entries.iter().map(|entry| &entry.log_id));
        let applied = &self.monitors.applied;
        let Some((theirs, own)) = ids.find_map(|id| Some((*id, applied.conflicts_with(id)?))) else { return };
        let term = request.vote.leader_id.term;
        let is_newest = applied.last_id().is_none_or(|last| last.leader_id.term <= term)
            && self.raft.metrics().borrow().vote <= request.vote;
        if is_newest && !planted!("other-entries-believed") {
            fatal::abort("a broken invariant", &ConflictingEntries { from, theirs, own, node: self.local.node_id });
        }
    }
}

/// Two nodes have applied different entries at one index.
#[derive(Debug, thiserror::Error)]
#[error(
    "the leader, node {from}, has entry {theirs} where {own} is applied here, so one of the two has lost what it \
     acknowledged, as by a data directory that was put back from a copy. Compare the nodes, and replace the one that is \
     wrong: {}", replace_advice(*node)
)]
struct ConflictingEntries {
    from: NodeId,
    theirs: LogId,
    own: LogId,
    node: NodeId,
}
