//! Answers other nodes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use tokio::io::AsyncWrite;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::base::LogRateLimit;
use crate::base::clock;
use crate::base::fatal;
use crate::mutants::planted;
use crate::raft::codec::{decode, encode};
use crate::raft::election::elections::Elections;
use crate::raft::error::replace_advice;
use crate::raft::monitors::Monitors;
use crate::raft::peers::authorization::{RemoteNode, VouchedMembers, admit};
use crate::raft::peers::connections::Peers;
use crate::raft::peers::frame::{Frame, MAX_BODY, MessageKind};
use crate::raft::peers::hello::{LocalNode, say_refused};
use crate::raft::peers::message::SnapshotBegin;
use crate::raft::peers::slots::{ConnectionSlots, Slot};
use crate::raft::peers::snapshot::Receiving;
use crate::raft::peers::transport::{Handshake, Stream, Transport};
use crate::raft::types::{LogId, NodeId, Raft, TypeConfig};

/// A connection that has not said who it is by then is closed.
const HELLO_WITHIN: Duration = Duration::from_secs(1);
/// Requests of one connection that are worked on at a time; the next one is read when there is room.
const REQUESTS_MAX: usize = 64;
const ANSWERS_MAX: usize = 64;
/// A peer that waits for an answer hears at least this often that it is worked on.
const WORKING_EVERY: Duration = Duration::from_millis(500);
/// After an `accept` that failed, which may do so for lack of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Anybody can cause these lines.
static STRANGERS: LogRateLimit = LogRateLimit::new(6);

/// A snapshot that cannot be taken is sent again and again.
static UNRECEIVED: LogRateLimit = LogRateLimit::new(6);

fn say_unreceived(error: &io::Error) {
    if let Some(held_back) = UNRECEIVED.admit(clock::process_age()) {
        tracing::error!(%error, held_back, "a snapshot from the leader cannot be kept: {error}");
    }
}

/// The handshake failed: it speaks TLS, and is none of ours.
fn is_stranger(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

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

/// Serves whoever connects, until this future is dropped, and all connections with it.
pub async fn listen(serving: PeerServer, transport: Arc<dyn Transport>) {
    let (mut connections, slots) = (JoinSet::new(), ConnectionSlots::default());
    loop {
        while connections.try_join_next().is_some() {}
        planted!("one-room-for-all" => while connections.len() >= 256 { connections.join_next().await; });
        match transport.accept().await {
            Ok(incoming) => {
                let serving = serving.clone();
                let start = |slot| connections.spawn(serving.connection(incoming.handshake, slot));
                slots.admit(incoming.address, start);
            }
            Err(error) => {
                tracing::debug!(%error, "a node could not connect");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

impl PeerServer {
    async fn connection(self, handshake: Handshake, slot: Slot) {
        let local = self.local.clone();
        let hello = async move {
            let mut arrival = handshake.await?;
            Ok((local.receive(&mut arrival.stream, arrival.certificate.as_ref()).await?, arrival))
        };
        let patience = planted!("one-room-for-all", HELLO_WITHIN => HELLO_WITHIN * 5);
        let error = match tokio::time::timeout(patience, hello).await {
            Ok(Ok((Some(hello), arrival))) => {
                let caller = RemoteNode { node: hello.from, certificate: arrival.certificate };
                self.serve_requests(caller, arrival.stream, slot).await
            }
            Ok(Ok((None, _))) => return,
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it did not say who it is"),
        };
        match is_stranger(&error).then(|| STRANGERS.admit(clock::process_age())) {
            Some(Some(held_back)) => {
                tracing::info!(%error, held_back, "who connected as a node is refused: {error}; do all nodes have \
                                                   certificates of the same authority?");
            }
            // Also what a port scanner leaves behind: nothing for an operator to act on.
            _ => tracing::debug!(%error, "a connection from another node has ended"),
        }
    }

    async fn serve_requests(self, caller: RemoteNode, stream: Stream, slot: Slot) -> io::Error {
        let (mut input, output) = tokio::io::split(stream);
        let (answers, queue) = mpsc::channel(ANSWERS_MAX);
        let busy = Arc::new(AtomicUsize::new(0));
        let mut connection = IncomingConnection {
            serving: self,
            caller,
            slot: (slot, false),
            answers,
            busy: busy.clone(),
            room: Arc::new(Semaphore::new(REQUESTS_MAX)),
            requests: JoinSet::new(),
            receiving: None,
        };
        let read = async {
            loop {
                match Frame::read(&mut input, MAX_BODY).await {
                    Ok(frame) => connection.take(frame).await,
                    Err(error) => return error,
                }
            }
        };
        tokio::select! {
            biased;
            error = read => error,
            error = write(output, queue, &busy) => error,
        }
    }
}

/// One connection. Requests are worked on side by side; the parts of a snapshot one after the other.
struct IncomingConnection {
    serving: PeerServer,
    caller: RemoteNode,
    /// And whether it is a member's.
    slot: (Slot, bool),
    answers: mpsc::Sender<Frame>,
    busy: Arc<AtomicUsize>,
    room: Arc<Semaphore>,
    requests: JoinSet<()>,
    receiving: Option<Receiving>,
}

impl IncomingConnection {
    async fn take(&mut self, frame: Frame) {
        let Some(kind) = MessageKind::of(frame.kind) else {
            let reason = format!("unknown kind of message {}", frame.kind);
            drop(self.answers.send(Frame::failed(frame.request, &reason)).await);
            return;
        };
        let busy = Busy::new(&self.busy);
        self.take_members_place();
        // Calls are for the engine: it tells a node that was removed so.
        if kind != MessageKind::Call
            && let Err(error) = self.admit().await
        {
            say_refused(self.caller.node, &error);
            drop(self.answers.send(Frame::failed(frame.request, &error.to_string())).await);
            return;
        }
        if let MessageKind::SnapshotBegin | MessageKind::SnapshotChunk | MessageKind::SnapshotEnd = kind {
            let answer = self.snapshot(kind, frame.body).await;
            drop(self.answers.send(answered(kind, frame.request, answer)).await);
            return;
        }
        // It is never closed.
        let Ok(permit) = self.room.clone().acquire_owned().await else { return };
        while self.requests.try_join_next().is_some() {}
        let (serving, from, answers) = (self.serving.clone(), self.caller.node, self.answers.clone());
        self.requests.spawn(async move {
            let answer = serving.answer(from, kind, frame.body).await;
            drop(answers.send(answered(kind, frame.request, answer)).await);
            drop((busy, permit));
        });
    }

    /// The connection of a member has a member's slot from its first request on, also one that brings calls alone.
    fn take_members_place(&mut self) {
        let (slot, is_members) = &mut self.slot;
        if !*is_members && self.serving.local.knows(self.caller.node) {
            slot.belongs_to(self.caller.node);
            *is_members = true;
        }
    }

    /// Whoever is a member is heard.
    async fn admit(&mut self) -> io::Result<()> {
        let PeerServer { local, peers, vouched, elections, .. } = &self.serving;
        if elections.is_retired() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this node takes no part any more"));
        }
        admit(local, peers, vouched, &self.caller).await
    }

    async fn snapshot(&mut self, kind: MessageKind, body: Bytes) -> io::Result<Bytes> {
        let raft = &self.serving.raft;
        let none = || io::Error::new(io::ErrorKind::InvalidData, "no snapshot was begun");
        match kind {
            MessageKind::SnapshotBegin => {
                let begin: SnapshotBegin = decode(&body)?;
                self.serving.local.check_vote(self.caller.node, &begin.vote, true)?;
                self.receiving = Some(Receiving::begin(raft, begin).await?);
            }
            MessageKind::SnapshotChunk => {
                if let Err(error) = self.receiving.as_mut().ok_or_else(none)?.chunk(body).await {
                    // It is sent again from its beginning; until then what is here of it takes room.
                    self.receiving = None;
                    say_unreceived(&error);
                    return Err(error);
                }
            }
            _ => return Ok(encode(&self.receiving.take().ok_or_else(none)?.end(raft).await?)),
        }
        Ok(Bytes::new())
    }
}

impl PeerServer {
    async fn answer(&self, from: NodeId, kind: MessageKind, body: Bytes) -> io::Result<Bytes> {
        match kind {
            MessageKind::Append => self.append(from, decode(&body)?).await,
            MessageKind::Vote => self.vote(from, decode(&body)?).await,
            MessageKind::PreVote => Ok(encode(
                &(self.elections.grants_pre_vote(&self.raft, decode(&body)?) && !self.monitors.log.space.is_full()),
            )),
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
        if !self.elections.may_help(&self.raft, request.last_log_id) || self.monitors.log.space.is_full() {
            let (vote, last_log_id) = (self.raft.metrics().borrow().vote, None);
            return Ok(encode(&VoteResponse { vote, vote_granted: false, last_log_id }));
        }
        let _hearing = self.elections.hearing();
        let answer = self.raft.vote(request).await.map_err(io::Error::other)?;
        if answer.vote_granted {
            self.elections.heard();
        }
        Ok(encode(&answer))
    }

    async fn append(&self, from: NodeId, request: AppendEntriesRequest<TypeConfig>) -> io::Result<Bytes> {
        self.local.check_vote(from, &request.vote, true)?;
        self.check_applied(from, &request);
        // While the disk is slow the leader is not silent: it waits for this node.
        let _hearing = self.elections.hearing();
        let answer = self.raft.append_entries(request).await.map_err(io::Error::other)?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.elections.heard();
        }
        Ok(encode(&answer))
    }
}

impl PeerServer {
    /// Ends the process where the leader has other entries than those that are applied here: one of the two has lost what
    /// it acknowledged, and nothing that is read here can be trusted any more.
    ///
    /// A leader that does not know yet that it is none may have other entries of its own, so only one that no later vote
    /// and no later applied entry is known of is judged.
    fn check_applied(&self, from: NodeId, request: &AppendEntriesRequest<TypeConfig>) {
        let mut ids = request.prev_log_id.iter().chain(request.entries.iter().map(|entry| &entry.log_id));
        let applied = &self.monitors.applied;
        let Some((theirs, own)) = ids.find_map(|id| Some((*id, applied.conflicts_with(id)?))) else { return };
        let term = request.vote.leader_id.term;
        let is_newest = applied.last_id().is_none_or(|last| last.leader_id.term <= term)
            && self.raft.metrics().borrow().vote <= request.vote;
        if is_newest && !planted!("other-entries-believed") {
            fatal::abort("a broken invariant", &Diverged { from, theirs, own, node: self.local.node_id });
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
struct Diverged {
    from: NodeId,
    theirs: LogId,
    own: LogId,
    node: NodeId,
}

fn answered(kind: MessageKind, request: u64, answer: io::Result<Bytes>) -> Frame {
    match answer {
        Ok(body) => Frame::answer(kind, request, body),
        Err(error) => Frame::failed(request, &error.to_string()),
    }
}

/// Writes answers as they come, and a sign of life while there is none.
async fn write(mut output: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Frame>, busy: &AtomicUsize) -> io::Error {
    loop {
        let frame = match tokio::time::timeout(WORKING_EVERY, queue.recv()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return io::ErrorKind::ConnectionAborted.into(),
            Err(_) if busy.load(Ordering::Relaxed) > 0 => Frame::request(MessageKind::Working, 0, Bytes::new()),
            Err(_) => continue,
        };
        if let Err(error) = frame.write(&mut output).await {
            return error;
        }
    }
}

/// Counts a request for as long as it is worked on.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Busy {
        count.fetch_add(1, Ordering::Relaxed);
        Busy(count.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
