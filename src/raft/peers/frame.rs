//! The framing of messages in the stream of a connection.
//!
//! ```text
//! length u32 (of all that follows)  version u8  kind u8  request u64  body
//! ```
//! Numbers are big-endian. An answer has the number of its request, and its kind with the highest bit set.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::base::byte_enum;
use crate::raft::codec::invalid;

/// The version of the frames that this build writes, and the only one that it reads: the hello agrees on it.
pub const VERSION: u8 = 1;

const LENGTH_BYTES: usize = 4;
const HEADER_BYTES: usize = 10;
/// Larger than any entry: a batch is at most a few MiB.
pub const MAX_BODY: usize = 80 << 20;
/// No more may be allocated before the hello was read.
pub const MAX_HELLO: usize = 16 << 10;
/// Up to this size, header and body are one write, and so one TLS record.
const ONE_WRITE: usize = 16 << 10;

byte_enum! {
    /// The kind of a frame. The numbers are part of the protocol.
    pub enum MessageKind {
        /// Tells that a request is being worked on; it answers none.
        Working = 0,
        Hello = 1,
        Append = 10,
        Vote = 11,
        /// Asks whether a vote would be granted; see `election/pre_vote.rs`.
        PreVote = 12,
        SnapshotBegin = 13,
        SnapshotChunk = 14,
        SnapshotEnd = 15,
        Call = 16,
        /// Tells a follower to stand for election at once.
        TransferLeadership = 17,
        /// Asks for the members: a node that was away looks up a node that it does not know.
        Members = 18,
    }
}

const ANSWER: u8 = 0x80;
/// Answers any request: it was not carried out. The body is the reason, as text.
const FAILED: u8 = 0xFF;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub request: u64,
    pub body: Bytes,
}

impl Frame {
    pub fn request(kind: MessageKind, request: u64, body: impl Into<Bytes>) -> Frame {
        Frame { kind: kind as u8, request, body: body.into() }
    }

    pub fn answer(kind: MessageKind, request: u64, body: impl Into<Bytes>) -> Frame {
        Frame { kind: kind as u8 | ANSWER, request, body: body.into() }
    }

    pub fn failed(request: u64, reason: &str) -> Frame {
        Frame { kind: FAILED, request, body: Bytes::copy_from_slice(reason.as_bytes()) }
    }

    /// The body of a good answer, or why there is none.
    pub fn into_answer(self) -> Result<Bytes, String> {
        match self.kind {
            FAILED => Err(String::from_utf8_lossy(&self.body).into_owned()),
            _ => Ok(self.body),
        }
    }

    pub async fn write(&self, out: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = u32::try_from(HEADER_BYTES + self.body.len()).map_err(|_| invalid("a message is too long"))?;
        let mut head = Vec::with_capacity(LENGTH_BYTES + HEADER_BYTES + self.body.len().min(ONE_WRITE));
        head.extend(length.to_be_bytes());
        head.extend([VERSION, self.kind]);
        head.extend(self.request.to_be_bytes());
        if self.body.len() <= ONE_WRITE {
            head.extend_from_slice(&self.body);
            out.write_all(&head).await?;
        } else {
            out.write_all(&head).await?;
            out.write_all(&self.body).await?;
        }
        out.flush().await
    }

    /// Reads one frame with a body of at most `max` bytes.
    pub async fn read(input: &mut (impl AsyncRead + Unpin), max: usize) -> io::Result<Frame> {
        let length = input.read_u32().await? as usize;
        let body = length.checked_sub(HEADER_BYTES).filter(|body| *body <= max);
        let body = body.ok_or_else(|| invalid(format!("a frame of {length} bytes is out of range")))?;
        let version = input.read_u8().await?;
        if version != VERSION {
            return Err(invalid(format!("frame version {version}, this build reads version {VERSION}")));
        }
        let kind = input.read_u8().await?;
        let request = input.read_u64().await?;
        // Grows with what arrives: a length alone allocates little.
        let mut bytes = Vec::with_capacity(body.min(1 << 20));
        input.take(body as u64).read_to_end(&mut bytes).await?;
        if bytes.len() < body {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Frame { kind, request, body: bytes.into() })
    }
}
