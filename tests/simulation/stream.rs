//! What a simulated node holds of its connections: one end of each, its listener and its dialler.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use latchd::base::BoxFuture;
use latchd::raft::{AcceptedConnection, Handshake, Incoming, Stream, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};

use super::network::Network;

/// One end of a connection.
pub struct End {
    network: Network,
    read: u64,
    write: u64,
}

impl End {
    pub fn new(network: Network, read: u64, write: u64) -> End {
        End { network, read, write }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.network.lock().close(self.read, self.write);
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.network.lock().read(self.read, into.remaining(), context.waker()) {
            None => Poll::Pending,
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(bytes)) => {
                into.put_slice(&bytes);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.network.lock().write(self.write, bytes, context.waker()).map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The transport of one run of a node.
#[derive(Debug)]
pub struct Line {
    node: u64,
    network: Network,
    accepted: tokio::sync::Mutex<mpsc::UnboundedReceiver<End>>,
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "End({}, {})", self.read, self.write)
    }
}

impl Line {
    pub fn new(node: u64, network: &Network) -> Line {
        Line { node, network: network.clone(), accepted: tokio::sync::Mutex::new(network.listen(node)) }
    }
}

pub fn address(node: u64) -> String {
    format!("https://node-{node}:9443")
}

impl Transport for Line {
    fn accept(&self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            let end = self.accepted.lock().await.recv().await.ok_or(io::ErrorKind::NotConnected)?;
            let handshake: Handshake =
                Box::pin(async move { Ok(AcceptedConnection { stream: Box::new(end), certificate: None }) });
            Ok(Incoming { address: None, handshake })
        })
    }

    fn connect(&self, address: &str) -> BoxFuture<'static, io::Result<Stream>> {
        let to = address.strip_prefix("https://node-").and_then(|rest| rest.split(':').next()?.parse().ok());
        let (answer, answered) = oneshot::channel();
        match to {
            Some(to) => self.network.lock().knock(self.node, to, answer),
            None => drop(answer.send(Err(io::ErrorKind::InvalidInput.into()))),
        }
        Box::pin(async {
            let end = answered.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(Box::new(end) as Stream)
        })
    }
}
