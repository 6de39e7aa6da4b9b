//! One connection that another node has opened. Requests are worked on side by side; the parts of a snapshot one after
//! the other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::base::LogRateLimit;
use crate::base::clock;
use crate::raft::codec::{decode, encode};
use crate::raft::peers::answers::PeerServer;
use crate::raft::peers::authorization::{RemoteNode, authorize};
use crate::raft::peers::frame::{Frame, MessageKind};
use crate::raft::peers::hello::log_refused;
use crate::raft::peers::message::SnapshotBegin;
use crate::raft::peers::slots::Slot;
use crate::raft::peers::snapshot::Receiving;

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
        let busy = Busy::new(&self.busy);
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
        if !self.has_members_slot && self.server.local.knows(self.remote.node) {
            self.slot.assign_to_member(self.remote.node);
            self.has_members_slot = true;
        }
    }

    async fn check_authorized(&self) -> io::Result<()> {
        let PeerServer { local, peers, vouched, elections, .. } = &self.server;
        if elections.is_retired() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this node takes no part any more"));
        }
        authorize(local, peers, vouched, &self.remote).await
    }

    async fn receive_snapshot(&mut self, kind: MessageKind, body: Bytes) -> io::Result<Bytes> {
        let raft = &self.server.raft;
        let none = || io::Error::new(io::ErrorKind::InvalidData, "no snapshot was begun");
        match kind {
            MessageKind::SnapshotBegin => {
                let begin: SnapshotBegin = decode(&body)?;
                self.server.local.check_vote(self.remote.node, &begin.vote, true)?;
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
