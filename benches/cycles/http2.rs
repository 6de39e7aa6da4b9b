//! A lean HTTP/2 client connection with one request at a time: what unary gRPC calls need, and nothing else.
//!
//! Header blocks are the caller's bytes. Those of answers are skipped: whether a call succeeded, its message shows.

use std::io;
use std::net::SocketAddr;

use crate::servers::Transport;
use crate::wire::Wire;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES: usize = 9;
/// As large as it may become, given what it is at the start: no answer of a measurement waits for more.
const WINDOW_INCREMENT: u32 = 0x7fff_ffff - 65_535;

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Flags of frames.
const END_STREAM: u8 = 1;
const ACKNOWLEDGED: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// One connection.
pub struct Http2 {
    wire: Wire,
    next_stream: u32,
    to_send: Vec<u8>,
    body: Vec<u8>,
}

impl Http2 {
    pub async fn connect(address: SocketAddr, transport: Transport) -> io::Result<Self> {
        let mut wire = Wire::connect_for(address, transport, b"h2").await?;
        let mut opening = PREFACE.to_vec();
        frame(&mut opening, SETTINGS, 0, 0, &[]);
        frame(&mut opening, WINDOW_UPDATE, 0, 0, &WINDOW_INCREMENT.to_be_bytes());
        wire.write(&opening).await?;
        Ok(Self { wire, next_stream: 1, to_send: Vec::with_capacity(1024), body: Vec::with_capacity(1024) })
    }

    /// Sends one request and reads the body of its answer, to the end of its trailers.
    pub async fn exchange(&mut self, header_block: &[u8], body: &[u8]) -> io::Result<&[u8]> {
        let stream = self.next_stream;
        self.next_stream += 2;
        frame(&mut self.to_send, HEADERS, END_HEADERS, stream, header_block);
        frame(&mut self.to_send, DATA, END_STREAM, stream, body);
        self.body.clear();
        let mut has_ended = false;
        while !has_ended {
            self.flush().await?;
            self.wire.read_some().await?;
            has_ended = self.take_frames(stream)?;
        }
        Ok(&self.body)
    }

    /// Looks at every frame that is there whole; whether the stream has ended with one of them.
    fn take_frames(&mut self, stream: u32) -> io::Result<bool> {
        let received = self.wire.received();
        let (mut taken, mut has_ended) = (0, false);
        while let Some((head, rest)) = received[taken..].split_at_checked(FRAME_HEAD_BYTES) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some(payload) = rest.get(..length) else { break };
            let (kind, flags) = (head[3], head[4]);
            match kind {
                DATA if flags & PADDED == 0 => self.body.extend_from_slice(payload),
                SETTINGS | PING if flags & ACKNOWLEDGED == 0 => {
                    let payload = if kind == PING { payload } else { &[] };
                    frame(&mut self.to_send, kind, ACKNOWLEDGED, 0, payload);
                }
                DATA | RESET | GO_AWAY => return Err(io::Error::other(format!("frame {kind}: {payload:?}"))),
                _ => {}
            }
            let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            has_ended |= matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 && of == stream;
            taken += FRAME_HEAD_BYTES + length;
        }
        received.drain(..taken);
        Ok(has_ended)
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.to_send.is_empty() {
            self.wire.write(&self.to_send).await?;
            self.to_send.clear();
        }
        Ok(())
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    out.extend_from_slice(&[length[1], length[2], length[3], kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}
