//! A connection to one other node. It is made when there is a request, and made again when it was lost.
//!
//! Requests are numbered and answered in any order. Raft's messages, calls and snapshots have a connection
//! each, so that none waits behind the bytes of another.

use std::collections::BTreeMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::base::KeyedLogRateLimit;
use crate::base::clock;
use crate::raft::interface::Stream;
use crate::raft::peers::frame::{Frame, MAX_BODY, MessageKind};
use crate::raft::peers::hello::{DialError, Dialer};
use crate::raft::types::NodeId;

/// A peer that sends nothing for this long while a request is open is gone, or cannot be reached.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
const QUEUED_MAX: usize = 64;
const UNANSWERED_MAX: usize = 256;

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    /// It was sent; whether it was received is not known.
    #[error("{0}")]
    Lost(String),
    /// The peer has answered that it did not do it.
    #[error("{0}")]
    Failed(String),
}

type Answer = Result<Bytes, RequestError>;

struct Outgoing {
    kind: MessageKind,
    body: Bytes,
    answer: oneshot::Sender<Answer>,
}

/// A handle on one connection; clones share it. The last one closes it.
#[derive(Clone)]
pub struct Connection {
    sender: mpsc::Sender<Outgoing>,
    up: Arc<AtomicBool>,
}

impl Connection {
    pub fn new(dialer: Dialer) -> Connection {
        let (sender, queue) = mpsc::channel(QUEUED_MAX);
        let up = Arc::new(AtomicBool::new(false));
        tokio::spawn(drive(dialer, queue, up.clone()));
        Connection { sender, up }
    }

    /// Whether the peer has answered on the present connection.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Sends a request and waits for the answer. If it is dropped before the request was written, nothing is sent.
    pub async fn request(&self, kind: MessageKind, body: Bytes) -> Answer {
        let (answer, receiver) = oneshot::channel();
        // Where the connection's task is gone, so is the sender of the answer.
        drop(self.sender.send(Outgoing { kind, body, answer }).await);
        receiver.await.unwrap_or_else(|_| Err(RequestError::Lost("the connection was closed".to_owned())))
    }
}

/// A node may come and go many times a second.
static UNREACHED: KeyedLogRateLimit<NodeId> = KeyedLogRateLimit::new(64);

async fn drive(dialer: Dialer, mut queue: mpsc::Receiver<Outgoing>, up: Arc<AtomicBool>) {
    let mut reported = false;
    while let Some(first) = queue.recv().await {
        if first.answer.is_closed() {
            continue;
        }
        let dialled = tokio::time::timeout(DIAL_TIMEOUT, dialer.dial()).await.unwrap_or_else(|_| Err(DialError::Slow));
        let error = match dialled {
            Ok((stream, _)) => {
                match std::mem::take(&mut reported) {
                    true => tracing::info!(node = dialer.node, address = dialer.address, "a node can be reached again"),
                    false => tracing::debug!(node = dialer.node, address = dialer.address, "connected"),
                }
                let lost = run(stream, first, &mut queue, &up).await;
                up.store(false, Ordering::Relaxed);
                tracing::debug!(node = dialer.node, reason = %lost, "the connection is lost");
                continue;
            }
            Err(error) => error,
        };
        // A node that ran alone has no address before it has led once among others: that is no reason to warn.
        if !dialer.address.is_empty()
            && !reported
            && let Some(held_back) = UNREACHED.admit(dialer.node, clock::process_age())
        {
            reported = true;
            let (node, address) = (dialer.node, &dialer.address);
            tracing::warn!(node, address, %error, held_back, "a node cannot be reached");
        }
        let unreachable = RequestError::Unreachable(error.to_string());
        drop(first.answer.send(Err(unreachable.clone())));
        while let Ok(next) = queue.try_recv() {
            drop(next.answer.send(Err(unreachable.clone())));
        }
    }
}

/// Requests that were sent and not answered.
#[derive(Default)]
struct Unanswered {
    requests: BTreeMap<u64, (oneshot::Sender<Answer>, OwnedSemaphorePermit)>,
    /// Every request below this number was open when silence was last checked.
    checked_at: u64,
    next: u64,
}

impl Unanswered {
    /// Whether a request that was open at the last check is still not answered.
    fn has_waited(&mut self) -> bool {
        let checked_at = std::mem::replace(&mut self.checked_at, self.next);
        self.requests.keys().any(|request| *request < checked_at)
    }
}

/// Runs until the connection is lost, and returns why.
async fn run(stream: Stream, first: Outgoing, queue: &mut mpsc::Receiver<Outgoing>, up: &AtomicBool) -> io::Error {
    let (input, output) = tokio::io::split(stream);
    let unanswered = Mutex::new(Unanswered::default());
    let error = tokio::select! {
        biased;
        error = read_all(input, &unanswered, up) => error,
        error = write_all(output, first, queue, &unanswered) => error,
    };
    let unanswered = unanswered.into_inner();
    for (answer, _) in unanswered.requests.into_values() {
        drop(answer.send(Err(RequestError::Lost(error.to_string()))));
    }
    error
}

async fn write_all(
    mut output: impl AsyncWrite + Unpin,
    first: Outgoing,
    queue: &mut mpsc::Receiver<Outgoing>,
    unanswered: &Mutex<Unanswered>,
) -> io::Error {
    let room = Arc::new(Semaphore::new(UNANSWERED_MAX));
    let mut next = Some(first);
    while let Some(outgoing) = next {
        if !outgoing.answer.is_closed() {
            let Ok(permit) = room.clone().acquire_owned().await else { break };
            let request = {
                let mut unanswered = unanswered.lock();
                let request = unanswered.next;
                unanswered.next += 1;
                unanswered.requests.insert(request, (outgoing.answer, permit));
                request
            };
            if let Err(error) = Frame::request(outgoing.kind, request, outgoing.body).write(&mut output).await {
                return error;
            }
        }
        next = queue.recv().await;
    }
    io::Error::new(io::ErrorKind::ConnectionAborted, "this node closes the connection")
}

async fn read_all(mut input: impl AsyncRead + Unpin, unanswered: &Mutex<Unanswered>, up: &AtomicBool) -> io::Error {
    loop {
        let frame = {
            let mut frame = pin!(Frame::read(&mut input, MAX_BODY));
            loop {
                tokio::select! {
                    biased;
                    frame = &mut frame => break frame,
                    () = tokio::time::sleep(SILENCE_TIMEOUT) => if unanswered.lock().has_waited() {
                        return io::Error::new(io::ErrorKind::TimedOut, "it does not answer");
                    },
                }
            }
        };
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return error,
        };
        up.store(true, Ordering::Relaxed);
        if frame.kind == MessageKind::Working as u8 {
            continue;
        }
        let asked = unanswered.lock().requests.remove(&frame.request);
        if let Some((answer, _)) = asked {
            drop(answer.send(frame.into_answer().map_err(RequestError::Failed)));
        }
    }
}
