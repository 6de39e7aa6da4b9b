//! openraft's client for one other node.

use std::future::Future;
use std::io;
use std::time::Duration;

use openraft::error::{Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse};
use openraft::{BasicNode, OptionalSend};

use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::raft::codec::{Wire, decode, encode};
use crate::raft::peers::connection::Connection;
use crate::raft::peers::connections::Peers;
use crate::raft::peers::frame::MessageKind;
use crate::raft::peers::hello::Dialer;
use crate::raft::peers::snapshot;
use crate::raft::types::{NodeId, Snapshot, TypeConfig, Vote};

type RpcError = RPCError<NodeId, BasicNode, RaftError<NodeId>>;
type StreamError = StreamingError<TypeConfig, Fatal<NodeId>>;

/// After a failed attempt. It is shorter than any election timeout, so that a node that has come back hears the leader before it
/// stands for election.
const RETRY_DELAY: Duration = Duration::from_millis(50);

/// A snapshot that a node refuses is sent again at once.
static NOT_RECEIVED: KeyedLogRateLimit<NodeId> = KeyedLogRateLimit::new(64);

#[derive(Debug, thiserror::Error)]
#[error("it answers with term {0}, which is too far beyond the last known one")]
struct ImplausibleTerm(u64);

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = PeerClient;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> PeerClient {
        PeerClient { connection: self.raft_connection(target, &node.addr), dialer: self.dialer(target, &node.addr) }
    }
}

pub struct PeerClient {
    connection: Connection,
    dialer: Dialer,
}

impl PeerClient {
    /// openraft would lead at once if it were shown a later vote for this node. Such a vote is from before this node's disk
    /// was put back: it shows how late the term is, and must not make this node a leader.
    fn without_own_vote(&self, vote: Vote) -> Result<Vote, Unreachable> {
        self.check_term(&vote)?;
        let is_own = vote.leader_id.node_id == self.dialer.local.node_id;
        Ok(if is_own { Vote::new(vote.leader_id.term, self.dialer.node) } else { vote })
    }

    /// Refuses an answer with a term that elections cannot have led to.
    fn check_term(&self, vote: &Vote) -> Result<(), Unreachable> {
        match self.dialer.local.is_plausible(vote) {
            true => Ok(()),
            false => Err(Unreachable::new(&ImplausibleTerm(vote.leader_id.term))),
        }
    }

    async fn ask<T: Wire>(&self, kind: MessageKind, request: &impl Wire) -> Result<T, RpcError> {
        let answer = self.connection.request(kind, encode(request)).await;
        let answer = answer.map_err(|e| RPCError::Unreachable(Unreachable::new(&e)))?;
        decode(&answer).map_err(|e| RPCError::Network(NetworkError::new(&e)))
    }
}

impl RaftNetwork<TypeConfig> for PeerClient {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, RpcError> {
        let answer = self.ask(MessageKind::Append, &rpc).await?;
        Ok(match answer {
            AppendEntriesResponse::HigherVote(vote) => AppendEntriesResponse::HigherVote(self.without_own_vote(vote)?),
            other => other,
        })
    }

    async fn vote(&mut self, rpc: VoteRequest<NodeId>, _option: RPCOption) -> Result<VoteResponse<NodeId>, RpcError> {
        let answer: VoteResponse<NodeId> = self.ask(MessageKind::Vote, &rpc).await?;
        self.check_term(&answer.vote)?;
        Ok(answer)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamError> {
        let unreachable = |e: &io::Error| StreamingError::Unreachable(Unreachable::new(e));
        let dialer = self.dialer.clone();
        let node = dialer.node;
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = snapshot::send(dialer, vote, snapshot) => match sent {
                Ok(found) if found == vote => Ok(SnapshotResponse { vote }),
                Ok(found) => Ok(SnapshotResponse { vote: self.without_own_vote(found)? }),
                Err(error) => {
                    if let Some(held_back) = NOT_RECEIVED.admit(node, clock::process_age()) {
                        tracing::warn!(node, %error, held_back, "node {node} has not received a snapshot");
                    }
                    Err(unreachable(&error))
                }
            },
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(RETRY_DELAY))
    }
}
