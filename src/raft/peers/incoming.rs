//! One connection that another node has opened, and the answers to its requests. These are worked on side by side; the parts of
//! a snapshot one after the other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::base::{LogRateLimit, OnDrop, clock, fatal};
use crate::mutants::planted;
use crate::raft::codec::{decode, encode};
use crate::raft::election::elections::Elections;
use crate::raft::error::replace_advice;
use crate::raft::monitors::Monitors;
use crate::raft::peers::authorization::{RemoteNode, VouchedMembers, authorize};
use crate::raft::peers::connections::Peers;
use crate::raft::peers::frame::{Frame, MessageKind};
use crate::raft::peers::hello::log_refused;
use crate::raft::peers::message::SnapshotBegin;
use crate::raft::peers::slots::Slot;
use crate::raft::peers::snapshot::Receiving;
use crate::raft::types::{LogId, NodeId, Raft, TypeConfig};

/// Requests of one connection that are worked on at a time; the next one is read when there is room.
const REQUESTS_MAX: usize = 64;

/// A snapshot that cannot be kept is sent again and again.
static NOT_KEPT: LogRateLimit = LogRateLimit::new(6);

pub struct IncomingConnection {
    server: PeerServer,
    remote: RemoteNode,
    slot: Slot,
    has_members_slot: bool,
    answers: mpsc::Sender<Frame>,
    /// How many requests are worked on.
    busy: Arc<AtomicUsize>,
    room: Arc<Semaphore>,
    requests: JoinSet<()>,
    receiving: Option<Receiving>,
}

impl IncomingConnection {
    pub fn new(
        server: PeerServer,
        remote: RemoteNode,
        slot: Slot,
        answers: mpsc::Sender<Frame>,
        busy: Arc<AtomicUsize>,
    ) -> IncomingConnection {
        IncomingConnection {
            server,
            remote,
            slot,
            has_members_slot: false,
            answers,
            busy,
            room: Arc::new(Semaphore::new(REQUESTS_MAX)),
            requests: JoinSet::new(),
            receiving: None,
        }
    }

    /// Begins to work on a request, which is answered later.
    pub async fn take(&mut self, frame: Frame) {
        let Some(kind) = MessageKind::from_u8(frame.kind) else {
            let reason = format!("unknown kind of message {}", frame.kind);
            drop(self.answers.send(Frame::failed(frame.request, &reason)).await);
            return;
        };
        let count = self.busy.clone();
        count.fetch_add(1, Ordering::Relaxed);
        let busy = OnDrop(move || _ = count.fetch_sub(1, Ordering::Relaxed));
        self.take_members_slot();
        // Calls are for the user of this room, which tells a removed node that it was removed.
        if kind != MessageKind::Call
            && let Err(error) = self.check_authorized().await
        {
            log_refused(self.remote.node, &error);
            drop(self.answers.send(Frame::failed(frame.request, &error.to_string())).await);
            return;
        }
        if let MessageKind::SnapshotBegin | MessageKind::SnapshotChunk | MessageKind::SnapshotEnd = kind {
            let answer = self.receive_snapshot(kind, frame.body).await;
            drop(self.answers.send(answered(kind, frame.request, answer)).await);
            return;
        }
        // It is never closed.
        let Ok(permit) = self.room.clone().acquire_owned().await else { return };
        while self.requests.try_join_next().is_some() {}
        let (server, from, answers) = (self.server.clone(), self.remote.node, self.answers.clone());
        self.requests.spawn(async move {
            let answer = server.answer(from, kind, frame.body).await;
            drop(answers.send(answered(kind, frame.request, answer)).await);
            drop((busy, permit));
        });
    }

    /// The connection of a member has a member's slot from its first request on, even if that is a call.
    fn take_members_slot(&mut self) {
        if !self.has_members_slot && self.server.peers.local.membership().get_node(&self.remote.node).is_some() {
            self.slot.assign_to_member(self.remote.node);
            self.has_members_slot = true;
        }
    }

    async fn check_authorized(&self) -> io::Result<()> {
        let PeerServer { peers, vouched, elections, .. } = &self.server;
        if elections.is_retired() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this node takes no part any more"));
        }
        authorize(peers, vouched, &self.remote).await
    }

    async fn receive_snapshot(&mut self, kind: MessageKind, body: Bytes) -> io::Result<Bytes> {
        let raft = &self.server.raft;
        let none = || io::Error::new(io::ErrorKind::InvalidData, "no snapshot was begun");
        match kind {
            MessageKind::SnapshotBegin => {
                let begin: SnapshotBegin = decode(&body)?;
                self.server.peers.local.check_vote(self.remote.node, &begin.vote, true)?;
                self.receiving = Some(Receiving::begin(raft, begin).await?);
            }
            MessageKind::SnapshotChunk => {
                if let Err(error) = self.receiving.as_mut().ok_or_else(none)?.chunk(body).await {
                    // It is sent again from its beginning; until then its chunks would take space.
                    self.receiving = None;
                    if let Some(held_back) = NOT_KEPT.admit(clock::process_age()) {
                        tracing::error!(%error, held_back, "a snapshot from the leader cannot be kept: {error}");
                    }
                    return Err(error);
                }
            }
            _ => return Ok(encode(&self.receiving.take().ok_or_else(none)?.end(raft).await?)),
        }
        Ok(Bytes::new())
    }
}

fn answered(kind: MessageKind, request: u64, answer: io::Result<Bytes>) -> Frame {
    match answer {
        Ok(body) => Frame::answer(kind, request, body),
        Err(error) => Frame::failed(request, &error.to_string()),
    }
}

/// What answering takes.
#[derive(Clone)]
pub struct PeerServer {
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
            MessageKind::Call => Ok(self.peers.local.service.call(from, body).await),
            // For a node whose own list may be older.
            MessageKind::Members => Ok(encode(&self.peers.local.membership())),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a request")),
        }
    }

    async fn vote(&self, from: NodeId, request: VoteRequest<NodeId>) -> io::Result<Bytes> {
        self.peers.local.check_vote(from, &request.vote, false)?;
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
        self.peers.local.check_vote(from, &request.vote, true)?;
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
            fatal::abort(
                "a broken invariant",
                &ConflictingEntries { from, theirs, own, node: self.peers.local.node_id },
            );
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
