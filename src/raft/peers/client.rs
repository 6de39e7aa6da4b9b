//! openraft's way to one node.

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

/// After a failed attempt; shorter than any election, so that a node that has come back is told before it stands.
const BACKOFF: Duration = Duration::from_millis(50);

/// It is tried again at once, for as long as the node refuses it.
static NOT_RECEIVED: KeyedLogRateLimit<NodeId> = KeyedLogRateLimit::new(64);

/// The other nodes; nobody where this node runs alone.
#[derive(Clone)]
pub struct Network(pub Option<Peers>);

/// A node that runs alone has no way to any other.
#[derive(Debug, thiserror::Error)]
#[error("this node runs alone")]
struct Vacant;

#[derive(Debug, thiserror::Error)]
#[error("it answers with term {0}, which is too far beyond the last known one")]
struct Absurd(u64);

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> PeerClient {
        let way = self.0.as_ref().map(|peers| Way {
            connection: peers.raft_connection(target, &node.addr),
            dialer: peers.dialer(target, &node.addr),
        });
        PeerClient { way }
    }
}

struct Way {
    connection: Connection,
    dialer: Dialer,
}

pub struct PeerClient {
    way: Option<Way>,
}

impl PeerClient {
    fn way(&self) -> Result<&Way, Unreachable> {
        self.way.as_ref().ok_or_else(|| Unreachable::new(&Vacant))
    }

    /// openraft would lead at once by a later vote for itself that it is shown. One that this node has not stored is of an
    /// earlier state of its disk: it says how late the term is, and elects nobody.
    fn not_own(&self, vote: Vote) -> Result<Vote, Unreachable> {
        let way = self.way()?;
        self.believable(&vote)?;
        let is_own = vote.leader_id.node_id == way.dialer.local.node_id;
        Ok(if is_own { Vote::new(vote.leader_id.term, way.dialer.node) } else { vote })
    }

    /// An answer with a term that no election can have led to is none.
    fn believable(&self, vote: &Vote) -> Result<(), Unreachable> {
        match self.way()?.dialer.local.can_be(vote) {
            true => Ok(()),
            false => Err(Unreachable::new(&Absurd(vote.leader_id.term))),
        }
    }

    async fn ask<T: Wire>(&self, kind: MessageKind, request: &impl Wire) -> Result<T, RpcError> {
        let answer = self.way()?.connection.request(kind, encode(request)).await;
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
            AppendEntriesResponse::HigherVote(vote) => AppendEntriesResponse::HigherVote(self.not_own(vote)?),
            other => other,
        })
    }

    async fn vote(&mut self, rpc: VoteRequest<NodeId>, _option: RPCOption) -> Result<VoteResponse<NodeId>, RpcError> {
        let answer: VoteResponse<NodeId> = self.ask(MessageKind::Vote, &rpc).await?;
        self.believable(&answer.vote)?;
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
        let dialer = self.way()?.dialer.clone();
        let node = dialer.node;
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = snapshot::send(dialer, vote, snapshot) => match sent {
                Ok(found) if found == vote => Ok(SnapshotResponse { vote }),
                Ok(found) => Ok(SnapshotResponse { vote: self.not_own(found)? }),
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
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
