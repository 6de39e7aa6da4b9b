//! One connection: bytes in, commands carried out one after the other, answers out.
//!
//! Nothing is read beyond one longest command, and no command is carried out while answers wait for a client that does not
//! read them. So a pipeline of any length is served in order, and what is not served yet stays in the client's socket.
//!
//! What a client has sent whole before it ended the connection is carried out too, and answered as far as it still reads.

use std::io;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::super::link::Link;
use super::super::tracked::TrackedStream;
use crate::base::{Drain, DrainPhase, request_times};
use crate::dialects::redis::{self, Answer, Client, Request, Scanner};
use crate::engine::GrantGuard;
use crate::http::address_limits;
use crate::telemetry::traces::{TracedRequest, Traces};

/// What is read at once, and what an idle connection keeps at most.
const READ_BYTES: usize = 4 << 10;

pub struct Conversation<S> {
    stream: S,
    link: Arc<Link>,
    client: Client,
    input: BytesMut,
    scanner: Scanner,
    output: BytesMut,
    answer_bytes_max: usize,
    peer: Peer,
    /// Granted after the client ended its side: whether anybody reads the answers is known at the end only.
    unconfirmed: Vec<GrantGuard>,
    drain: Drain,
    traces: Option<Arc<Traces>>,
    /// Of the bytes that had arrived when the drain closed connections, those whose commands are not carried out yet.
    last_bytes: Option<usize>,
}

/// What the client still does with the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Peer {
    Sends,
    /// It sends no more. It may have closed the connection, or its own side alone and still read.
    HasEnded,
    /// Nothing can reach it.
    IsGone,
}

/// Whether more commands may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    GoesOn,
    Ends,
}

impl<S: TrackedStream> Conversation<S> {
    pub fn new(stream: S, link: Arc<Link>, client: Client, answer_bytes_max: usize, drain: Drain) -> Conversation<S> {
        let traces = None;
        let (input, output, scanner) = (BytesMut::new(), BytesMut::new(), Scanner::default());
        let (peer, unconfirmed, last_bytes) = (Peer::Sends, Vec::new(), None);
        Conversation {
            stream,
            link,
            client,
            input,
            scanner,
            output,
            answer_bytes_max,
            peer,
            unconfirmed,
            drain,
            traces,
            last_bytes,
        }
    }

    /// Where its commands are traced.
    pub fn with_traces(self, traces: Option<Arc<Traces>>) -> Conversation<S> {
        Conversation { traces, ..self }
    }

    /// Until one side ends the connection. When the drain closes connections, the commands that have arrived are carried out,
    /// and none that comes later.
    pub async fn run(mut self) -> io::Result<()> {
        if let Some(pool) = self.link.probes_only {
            let failure = address_limits::refuse(&self.link.address, pool, crate::base::clock::process_age());
            self.link.metrics().connections_refused.inc();
            self.answer(self.client.refuse_connection(failure));
            // Without waiting for the client to close: the place that it has is one for probes.
            self.send().await;
            return Ok(());
        }
        loop {
            let is_last = self.drain.has_reached(DrainPhase::Closing);
            let bytes_max = self.bytes_max();
            tokio::select! {
                biased;
                read = read_some(&mut self.stream, &mut self.input, bytes_max) => {
                    if read? == 0 {
                        return self.end().await;
                    }
                }
                () = self.drain.reached(DrainPhase::Closing) => return self.end().await,
            }
            if self.serve().await == Next::Ends {
                // The client may still be sending.
                self.link.note_unread_body(true);
                return self.end().await;
            }
            if is_last || self.peer != Peer::Sends {
                return self.end().await;
            }
        }
    }

    /// Carries out every command that has arrived whole, and sends the answers.
    async fn serve(&mut self) -> Next {
        loop {
            let next = match self.scanner.scan(&self.input, &self.client.bounds()) {
                Ok(Some(end)) if self.is_too_late(end) => Next::Ends,
                Ok(Some(end)) => self.carry_out(end).await,
                Ok(None) => break,
                Err(violation) => {
                    self.answer(self.client.refuse(&violation));
                    Next::Ends
                }
            };
            if next == Next::Ends {
                return Next::Ends;
            }
            if self.output.len() >= self.answer_bytes_max {
                self.send().await;
            }
            // Commands that wait for nothing must not keep other connections of this worker from theirs.
            tokio::task::consume_budget().await;
        }
        if self.peer != Peer::Sends {
            return Next::GoesOn;
        }
        self.send().await;
        if !self.input.is_empty() {
            // The rest of the command has to come within `server.header_timeout`.
            self.link.read_some();
        } else if self.input.capacity() > READ_BYTES {
            self.input = BytesMut::new();
        }
        Next::GoesOn
    }

    /// Whether the command in the first bytes has come after the drain closed connections.
    fn is_too_late(&mut self, end: usize) -> bool {
        if !self.drain.has_reached(DrainPhase::Closing) {
            return false;
        }
        let left = self.last_bytes.get_or_insert(self.input.len());
        match left.checked_sub(end) {
            Some(rest) => {
                *left = rest;
                false
            }
            None => true,
        }
    }

    /// Carries out the command in the first bytes, also if the client ends the connection meanwhile. While it waits, the
    /// answers before it are sent.
    async fn carry_out(&mut self, end: usize) -> Next {
        let bytes = self.input.split_to(end);
        let bytes_max = self.bytes_max();
        let answer = match Request::read(&bytes) {
            Ok(request) => {
                let _in_flight = InFlight::begin(&self.link);
                let traced = self.traced(&request);
                let times = traced.as_ref().map(TracedRequest::times);
                let execution = request_times::scope(times, || self.client.execute(&request));
                let mut execution = std::pin::pin!(execution);
                let answer = loop {
                    tokio::select! {
                        biased;
                        answer = &mut execution => break answer,
                        peer = ended(&mut self.stream, &mut self.output, &mut self.input, bytes_max),
                            if self.peer == Peer::Sends => self.peer = peer,
                    }
                };
                if let Some(traced) = traced {
                    traced.replied(answer.is_error());
                }
                answer
            }
            Err(violation) => self.client.refuse(&violation),
        };
        let ends = answer.ends;
        self.answer(answer);
        if ends { Next::Ends } else { Next::GoesOn }
    }

    /// The span of a command that may reach the table; `None` if it is not traced.
    fn traced(&self, request: &Request<'_>) -> Option<TracedRequest> {
        let traces = self.traces.as_ref()?;
        traces.begin_command(self.link.peer.ip, redis::table_command(request)?, redis::DECLARATION.label)
    }

    /// Adds an answer to those that are sent next.
    fn answer(&mut self, answer: Answer) {
        answer.reply.write(answer.protocol, &mut self.output);
        let is_error = answer.is_error();
        self.link.metrics().count_redis_command(answer.command, is_error);
        tracing::debug!(command = answer.command, is_error, "{} of a client of the Redis protocol", answer.command);
        match answer.delivery {
            Some(delivery) if self.is_read() => self.link.connection.register(delivery),
            Some(delivery) => self.unconfirmed.push(delivery),
            None => {}
        }
    }

    /// Whether somebody reads the answers, as far as is known. The end of the client's side may stand behind commands that
    /// are not read yet.
    fn is_read(&self) -> bool {
        self.peer == Peer::Sends && !self.stream.tracked().is_ended_by_peer()
    }

    /// Sends the answers, if there is anybody to read them.
    async fn send(&mut self) {
        if self.peer == Peer::IsGone || send(&mut self.stream, &mut self.output).await.is_err() {
            self.peer = Peer::IsGone;
            self.output = BytesMut::new();
        }
    }

    /// Sends what is left, and closes. What a client was granted that had ended its side is released if it refuses the
    /// answers, because it had closed the whole connection.
    async fn end(mut self) -> io::Result<()> {
        self.send().await;
        self.stream.shutdown().await?;
        if self.peer != Peer::IsGone && !self.unconfirmed.is_empty() && !self.stream.tracked().is_refused().await {
            self.unconfirmed.into_iter().for_each(GrantGuard::delivered);
        }
        Ok(())
    }

    fn bytes_max(&self) -> usize {
        self.client.bounds().command_bytes.max(READ_BYTES)
    }
}

/// A command, which keeps its connection from counting as idle.
struct InFlight<'a>(&'a Link);

impl<'a> InFlight<'a> {
    fn begin(link: &'a Link) -> InFlight<'a> {
        link.request_begins(false);
        InFlight(link)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.request_ends();
    }
}

/// Reads what there is, up to so many bytes in all; 0 at the end.
async fn read_some<S: AsyncRead + Unpin>(stream: &mut S, into: &mut BytesMut, bytes_max: usize) -> io::Result<usize> {
    let room = bytes_max.saturating_sub(into.len()).min(READ_BYTES);
    into.reserve(room);
    stream.read_buf(&mut into.limit(room)).await
}

/// Sends all of these answers. Given up, it leaves what is not sent.
async fn send<S: AsyncWrite + Unpin>(stream: &mut S, output: &mut BytesMut) -> io::Result<()> {
    if !output.is_empty() {
        stream.write_all_buf(output).await?;
        stream.flush().await?;
        *output = BytesMut::new();
    }
    Ok(())
}

/// Sends these answers, and resolves when the client has ended the connection or its side of it; what it sends before is
/// kept, as far as there is room.
async fn ended<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    output: &mut BytesMut,
    into: &mut BytesMut,
    bytes_max: usize,
) -> Peer {
    if send(stream, output).await.is_err() {
        return Peer::IsGone;
    }
    while into.len() < bytes_max {
        match read_some(stream, into, bytes_max).await {
            Ok(0) => return Peer::HasEnded,
            Ok(_) => {}
            Err(_) => return Peer::IsGone,
        }
    }
    std::future::pending().await
}
