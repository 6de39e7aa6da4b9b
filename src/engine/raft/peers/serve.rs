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

use super::frame::{Frame, Kind, MAX_BODY};
use super::hello::Local;
use super::message::{decode, encode};
use super::snapshot::Receiving;
use super::{Handshake, Stream, Transport};
use crate::access::LinePace;
use crate::engine::clock;
use crate::engine::raft::pulse::{Pulse, may_help};
use crate::engine::raft::types::{NodeId, Raft, TypeConfig};

/// A connection that has not said who it is by then is closed.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
const CONNECTIONS_MAX: usize = 256;
/// Requests of one connection that are worked on at a time; the next one is read when there is room.
const REQUESTS_MAX: usize = 64;
const ANSWERS_MAX: usize = 64;
/// A peer that waits for an answer hears at least this often that it is worked on.
const WORKING_EVERY: Duration = Duration::from_millis(500);
/// After an `accept` that failed, which may do so for lack of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Anybody can cause these lines.
static STRANGERS: LinePace = LinePace::new(6);

/// The handshake failed: it speaks TLS, and is none of ours.
fn is_stranger(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// What answering takes.
#[derive(Clone)]
pub(in crate::engine::raft) struct Serving {
    pub local: Arc<Local>,
    pub raft: Raft,
    pub pulse: Arc<Pulse>,
}

/// Serves whoever connects, until this future is dropped, and all connections with it.
pub(in crate::engine::raft) async fn listen(serving: Serving, transport: Arc<dyn Transport>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        while connections.try_join_next().is_some() {}
        match transport.accept().await {
            Ok(handshake) => drop(connections.spawn(serving.clone().connection(handshake))),
            Err(error) => {
                tracing::debug!(%error, "a node could not connect");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

impl Serving {
    async fn connection(self, handshake: Handshake) {
        let local = self.local.clone();
        let hello = async move {
            let mut stream = handshake.await?;
            Ok((local.receive(&mut stream).await?, stream))
        };
        let error = match tokio::time::timeout(HELLO_WITHIN, hello).await {
            Ok(Ok((Some(hello), stream))) => self.converse(hello.from, stream).await,
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

    async fn converse(self, from: NodeId, stream: Stream) -> io::Error {
        let (mut input, output) = tokio::io::split(stream);
        let (answers, queue) = mpsc::channel(ANSWERS_MAX);
        let busy = Arc::new(AtomicUsize::new(0));
        let mut conversation = Conversation {
            serving: self,
            from,
            answers,
            busy: busy.clone(),
            room: Arc::new(Semaphore::new(REQUESTS_MAX)),
            requests: JoinSet::new(),
            receiving: None,
        };
        let read = async {
            loop {
                match Frame::read(&mut input, MAX_BODY).await {
                    Ok(frame) => conversation.take(frame).await,
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
struct Conversation {
    serving: Serving,
    from: NodeId,
    answers: mpsc::Sender<Frame>,
    busy: Arc<AtomicUsize>,
    room: Arc<Semaphore>,
    requests: JoinSet<()>,
    receiving: Option<Receiving>,
}

impl Conversation {
    async fn take(&mut self, frame: Frame) {
        let Some(kind) = Kind::of(frame.kind) else {
            let reason = format!("unknown kind of message {}", frame.kind);
            drop(self.answers.send(Frame::failed(frame.request, &reason)).await);
            return;
        };
        let busy = Busy::new(&self.busy);
        if let Kind::SnapshotBegin | Kind::SnapshotChunk | Kind::SnapshotEnd = kind {
            let answer = self.snapshot(kind, frame.body).await;
            drop(self.answers.send(answered(kind, frame.request, answer)).await);
            return;
        }
        // It is never closed.
        let Ok(permit) = self.room.clone().acquire_owned().await else { return };
        while self.requests.try_join_next().is_some() {}
        let (serving, from, answers) = (self.serving.clone(), self.from, self.answers.clone());
        self.requests.spawn(async move {
            let answer = serving.answer(from, kind, frame.body).await;
            drop(answers.send(answered(kind, frame.request, answer)).await);
            drop((busy, permit));
        });
    }

    async fn snapshot(&mut self, kind: Kind, body: Bytes) -> io::Result<Bytes> {
        let raft = &self.serving.raft;
        let none = || io::Error::new(io::ErrorKind::InvalidData, "no snapshot was begun");
        match kind {
            Kind::SnapshotBegin => self.receiving = Some(Receiving::begin(raft, decode(&body)?).await?),
            Kind::SnapshotChunk => self.receiving.as_mut().ok_or_else(none)?.chunk(body).await?,
            _ => return Ok(encode(&self.receiving.take().ok_or_else(none)?.end(raft).await?)),
        }
        Ok(Bytes::new())
    }
}

impl Serving {
    async fn answer(&self, from: NodeId, kind: Kind, body: Bytes) -> io::Result<Bytes> {
        match kind {
            Kind::Append => self.append(decode(&body)?).await,
            Kind::Vote => self.vote(decode(&body)?).await,
            Kind::Canvass => Ok(encode(&self.pulse.would_vote(&self.raft, decode(&body)?))),
            Kind::TakeOver => Ok(encode(&self.pulse.take_over(&self.raft, from, decode(&body)?).await)),
            Kind::Call => Ok(self.local.service.call(from, body).await),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a request")),
        }
    }

    async fn vote(&self, request: VoteRequest<NodeId>) -> io::Result<Bytes> {
        if !may_help(&self.raft, request.last_log_id) {
            let (vote, last_log_id) = (self.raft.metrics().borrow().vote, None);
            return Ok(encode(&VoteResponse { vote, vote_granted: false, last_log_id }));
        }
        let _hearing = self.pulse.hearing();
        let answer = self.raft.vote(request).await.map_err(io::Error::other)?;
        if answer.vote_granted {
            self.pulse.heard();
        }
        Ok(encode(&answer))
    }

    async fn append(&self, request: AppendEntriesRequest<TypeConfig>) -> io::Result<Bytes> {
        // While the disk is slow the leader is not silent: it waits for this node.
        let _hearing = self.pulse.hearing();
        let answer = self.raft.append_entries(request).await.map_err(io::Error::other)?;
        if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
            self.pulse.heard();
        }
        Ok(encode(&answer))
    }
}

fn answered(kind: Kind, request: u64, answer: io::Result<Bytes>) -> Frame {
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
            Err(_) if busy.load(Ordering::Relaxed) > 0 => Frame::request(Kind::Working, 0, Bytes::new()),
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
