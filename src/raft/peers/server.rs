//! Listens for other nodes, and serves each connection until it ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::base::LogRateLimit;
use crate::base::clock;
use crate::mutants::planted;
use crate::raft::interface::{Handshake, Stream, Transport};
use crate::raft::peers::authorization::RemoteNode;
use crate::raft::peers::frame::{Frame, MAX_BODY, MessageKind};
use crate::raft::peers::incoming::{IncomingConnection, PeerServer};
use crate::raft::peers::slots::{ConnectionSlots, Slot};

/// A connection without a hello by then is closed.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWERS_MAX: usize = 64;
/// A peer that waits for an answer gets a sign of life at least this often.
const WORKING_INTERVAL: Duration = Duration::from_millis(500);
/// After an `accept` that failed, for example for lack of file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Any host can cause these lines.
static NO_CERTIFICATE: LogRateLimit = LogRateLimit::new(6);

/// Whether the TLS handshake failed: the other side has no certificate of this cluster.
fn has_no_certificate(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Serves all connections, until this future is dropped, and they with it.
pub async fn listen(server: PeerServer, transport: Arc<dyn Transport>) {
    let (mut connections, slots) = (JoinSet::new(), ConnectionSlots::default());
    loop {
        while connections.try_join_next().is_some() {}
        planted!("connection-limit-shared" => while connections.len() >= 256 { connections.join_next().await; });
        match transport.accept().await {
            Ok(incoming) => {
                let server = server.clone();
                let start = |slot| connections.spawn(serve(server, incoming.handshake, slot));
                slots.admit(incoming.address, start);
            }
            Err(error) => {
                tracing::debug!(%error, "a node could not connect");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

async fn serve(server: PeerServer, handshake: Handshake, slot: Slot) {
    let local = server.peers.local.clone();
    let hello = async move {
        let mut arrival = handshake.await?;
        Ok((local.receive(&mut arrival.stream, arrival.certificate.as_ref()).await?, arrival))
    };
    let hello_timeout = planted!("connection-limit-shared", HELLO_TIMEOUT => HELLO_TIMEOUT * 5);
    let error = match tokio::time::timeout(hello_timeout, hello).await {
        Ok(Ok((Some(hello), arrival))) => {
            let remote = RemoteNode { node: hello.from, certificate: arrival.certificate };
            serve_requests(server, remote, arrival.stream, slot).await
        }
        Ok(Ok((None, _))) => return,
        Ok(Err(error)) => error,
        Err(_) => io::Error::new(io::ErrorKind::TimedOut, "it did not say who it is"),
    };
    match has_no_certificate(&error).then(|| NO_CERTIFICATE.admit(clock::process_age())) {
        Some(Some(held_back)) => {
            tracing::info!(%error, held_back, "a connection to the port between nodes is refused: {error}; do all nodes \
                                               have certificates of the same authority?");
        }
        // Also what a port scanner leaves behind: nothing for an operator to act on.
        _ => tracing::debug!(%error, "a connection from another node has ended"),
    }
}

async fn serve_requests(server: PeerServer, remote: RemoteNode, stream: Stream, slot: Slot) -> io::Error {
    let (mut input, output) = tokio::io::split(stream);
    let (answers, queue) = mpsc::channel(ANSWERS_MAX);
    let busy = Arc::new(AtomicUsize::new(0));
    let mut connection = IncomingConnection::new(server, remote, slot, answers, busy.clone());
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

/// Writes answers as they come, and a sign of life while there is none.
async fn write(mut output: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Frame>, busy: &AtomicUsize) -> io::Error {
    loop {
        let frame = match tokio::time::timeout(WORKING_INTERVAL, queue.recv()).await {
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
