//! An attacker at the port between nodes: it sends raw frames of `peers/frame.rs` that no node would send.

use std::io;
use std::sync::Arc;

use latchd::raft::{Stream, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::network::SOON;

pub const APPEND: u8 = 10;
pub const VOTE: u8 = 11;
pub const SNAPSHOT_BEGIN: u8 = 13;
pub const TAKE_OVER: u8 = 17;
/// The kind of an answer to a request that was refused.
pub const FAILED: u8 = 0xFF;

pub struct Impostor {
    stream: Stream,
    requests: u64,
}

/// A vote as it is on the wire: uncommitted of a candidate, committed of a leader.
pub fn vote(term: u64, node: u64, committed: bool) -> Vec<u8> {
    [&[0xA2][..], &term.to_be_bytes(), &node.to_be_bytes(), &[committed.into()]].concat()
}

pub fn log_id(term: u64, node: u64, index: u64) -> Vec<u8> {
    [&[0xA1][..], &term.to_be_bytes(), &node.to_be_bytes(), &index.to_be_bytes()].concat()
}

/// An optional log id.
pub fn some(log_id: &[u8]) -> Vec<u8> {
    [&[1], log_id].concat()
}

/// A vote request with a log that is longer than any node's.
pub fn vote_request(term: u64, node: u64) -> Vec<u8> {
    [vote(term, node, false), some(&log_id(term - 1, node, 1 << 40))].concat()
}

/// A leader's message without entries.
pub fn append_request(term: u64, node: u64, previous: Option<Vec<u8>>) -> Vec<u8> {
    let previous = previous.map_or_else(|| vec![0], |id| some(&id));
    [vote(term, node, true), previous, vec![0], vec![0; 4]].concat()
}

impl Impostor {
    /// Connects to node `to` as node `from`; fails if the node does not accept it.
    pub async fn knock(transport: &Arc<dyn Transport>, url: &str, from: u64, to: u64) -> io::Result<Impostor> {
        Self::knock_with(transport, url, (from, [7; 16]), to).await
    }

    /// The same, with the store id that the node is known by.
    pub async fn knock_with(
        transport: &Arc<dyn Transport>,
        url: &str,
        (from, store): (u64, [u8; 16]),
        to: u64,
    ) -> io::Result<Impostor> {
        let stream = tokio::time::timeout(SOON, transport.connect(url)).await??;
        let mut impostor = Impostor { stream, requests: 0 };
        let mut hello = vec![1, 1];
        hello.extend(from.to_be_bytes());
        hello.extend(to.to_be_bytes());
        hello.extend(store);
        hello.push(0);
        hello.extend([0, 0]);
        let (kind, welcome) = impostor.ask(1, &hello).await?;
        match (kind, welcome.first()) {
            (0x81, Some(0)) => Ok(impostor),
            answer => Err(io::Error::other(format!("{answer:?}"))),
        }
    }

    /// The kind of the answer, and its body.
    pub async fn ask(&mut self, kind: u8, body: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        let mut frame = (10 + body.len() as u32).to_be_bytes().to_vec();
        frame.extend([1, kind]);
        frame.extend(self.requests.to_be_bytes());
        frame.extend(body);
        self.requests += 1;
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        loop {
            let answer = tokio::time::timeout(SOON, self.read()).await??;
            // Not the sign that something is being worked on.
            if answer.0 != 0 {
                return Ok(answer);
            }
        }
    }

    async fn read(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let length = self.stream.read_u32().await? as usize;
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).await?;
        Ok((frame[1], frame.split_off(10)))
    }

    /// Sends a request that must be refused, and returns the reason.
    pub async fn is_refused(&mut self, kind: u8, body: &[u8]) -> String {
        let (answer, reason) = self.ask(kind, body).await.expect("an answer");
        let reason = String::from_utf8_lossy(&reason).into_owned();
        assert_eq!(answer, FAILED, "message {kind} was carried out: {reason}");
        reason
    }
}
