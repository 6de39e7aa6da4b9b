//! One connection: bytes in, commands carried out one after the other, answers out.
//!
//! Nothing is read beyond one longest command, and no command is carried out while answers wait for a client that does not
//! read them. So a pipeline of any length is served in order, and what is not served yet stays in the client's socket.

use std::io;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::super::link::Link;
use crate::base::{Drain, DrainPhase};
use crate::dialects::redis::{Answer, Client, Request, Scanner};
use crate::http::address_limits;

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
    drain: Drain,
    /// Of the bytes that had arrived when the drain closed connections, those whose commands are not carried out yet.
    last_bytes: Option<usize>,
}

/// Whether more commands may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    GoesOn,
    Ends,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    pub fn new(stream: S, link: Arc<Link>, client: Client, answer_bytes_max: usize, drain: Drain) -> Conversation<S> {
        let (input, output, scanner) = (BytesMut::new(), BytesMut::new(), Scanner::default());
        Conversation { stream, link, client, input, scanner, output, answer_bytes_max, drain, last_bytes: None }
    }

    /// Until one side ends the connection. When the drain closes connections, the commands that have arrived are carried out,
    /// and none that comes later.
    pub async fn run(mut self) -> io::Result<()> {
        if let Some(pool) = self.link.probes_only {
            let failure = address_limits::refuse(&self.link.address, pool, crate::base::clock::process_age());
            self.link.metrics().connections_refused.inc();
            self.answer(self.client.refuse_connection(failure));
            // Without waiting for the client to close: the place that it has is one for probes.
            return self.send().await;
        }
        loop {
            let is_last = self.drain.has_reached(DrainPhase::Closing);
            let bytes_max = self.bytes_max();
            tokio::select! {
                biased;
                read = read_some(&mut self.stream, &mut self.input, bytes_max) => {
                    if read? == 0 {
                        return Ok(());
                    }
                }
                () = self.drain.reached(DrainPhase::Closing) => return self.end().await,
            }
            if self.serve().await? == Next::Ends {
                // The client may still be sending.
                self.link.note_unread_body(true);
                return self.end().await;
            }
            if is_last {
                return self.end().await;
            }
        }
    }

    /// Carries out every command that has arrived whole, and sends the answers.
    async fn serve(&mut self) -> io::Result<Next> {
        loop {
            let next = match self.scanner.scan(&self.input, &self.client.bounds()) {
                Ok(Some(end)) if self.is_too_late(end) => Ok(Next::Ends),
                Ok(Some(end)) => self.carry_out(end).await,
                Ok(None) => break,
                Err(violation) => {
                    self.answer(self.client.refuse(&violation));
                    Ok(Next::Ends)
                }
            };
            if next? == Next::Ends {
                return Ok(Next::Ends);
            }
            if self.output.len() >= self.answer_bytes_max {
                self.send().await?;
            }
            // Commands that wait for nothing must not keep other connections of this worker from theirs.
            tokio::task::consume_budget().await;
        }
        self.send().await?;
        if !self.input.is_empty() {
            // The rest of the command has to come within `server.header_timeout`.
            self.link.read_some();
        } else if self.input.capacity() > READ_BYTES {
            self.input = BytesMut::new();
        }
        Ok(Next::GoesOn)
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

    /// Carries out the command in the first bytes. While it waits, the answers before it are sent. If the client closes the connection meanwhile, what the command was about
    /// to take is given up.
    async fn carry_out(&mut self, end: usize) -> io::Result<Next> {
        let bytes = self.input.split_to(end);
        let bytes_max = self.bytes_max();
        let answer = match Request::read(&bytes) {
            Ok(request) => {
                let _in_flight = InFlight::begin(&self.link);
                tokio::select! {
                    biased;
                    answer = self.client.execute(&request) => answer,
                    error = closed(&mut self.stream, &mut self.output, &mut self.input, bytes_max) => return Err(error),
                }
            }
            Err(violation) => self.client.refuse(&violation),
        };
        let ends = answer.ends;
        self.answer(answer);
        Ok(if ends { Next::Ends } else { Next::GoesOn })
    }

    /// Adds an answer to those that are sent next.
    fn answer(&mut self, answer: Answer) {
        answer.reply.write(answer.protocol, &mut self.output);
        let is_error = answer.is_error();
        self.link.metrics().count_redis_command(answer.command, is_error);
        tracing::debug!(command = answer.command, is_error, "{} of a client of the Redis protocol", answer.command);
        if let Some(delivery) = answer.delivery {
            self.link.connection.register(delivery);
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        send(&mut self.stream, &mut self.output).await
    }

    /// Sends what is left, and closes.
    async fn end(mut self) -> io::Result<()> {
        self.send().await?;
        self.stream.shutdown().await
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

/// Sends these answers, and resolves when the client has closed the connection; what it sends before is kept, as far as
/// there is room.
async fn closed<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    output: &mut BytesMut,
    into: &mut BytesMut,
    bytes_max: usize,
) -> io::Error {
    if let Err(error) = send(stream, output).await {
        return error;
    }
    while into.len() < bytes_max {
        match read_some(stream, into, bytes_max).await {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
    std::future::pending().await
}
