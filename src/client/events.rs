//! A stream of lock events that resumes at another node when it breaks off, and reports where events are missing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};
use serde::{Deserialize, Serialize};
use sse_stream::{Sse, SseByteStream};

use super::call::Call;
use super::clock::Moment;
use super::core::RETRY_DELAY_MAX;
use super::retry::Backoff;
use super::{Client, ClientError, Lock};

/// A stream without any byte for this long is dead; the service sends a heartbeat every 15 s by default.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// More than any event that a service sends.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// Which events to stream.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only of this lock.
    pub name: Option<String>,
    /// Only of locks with this prefix; if empty, of all locks, and the ends of sessions.
    pub prefix: String,
    /// Only events after this id; without one, events from now on.
    pub after: Option<String>,
    /// Begin with the current locks, unless `after` is set.
    pub state: bool,
}

impl EventQuery {
    fn matches(&self, event: &Event) -> bool {
        let mut names = event.name.iter().chain(event.locks.iter().map(|lock| &lock.name));
        names.all(|name| match &self.name {
            Some(asked) => name == asked,
            None => name.starts_with(&self.prefix),
        })
    }

    fn call(&self) -> Call {
        let call = Call::new(Method::GET, "/v1/events");
        let call = match &self.name {
            Some(name) => call.query("name", name),
            None => call.query("prefix", &self.prefix),
        };
        match &self.after {
            Some(id) => call.header("Last-Event-ID", id),
            None if self.state => call.query("state", "true"),
            None => call,
        }
    }
}

/// An event, or the current locks.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// `started`, `state`, `gap`, `granted`, `released`, `expired`, `forced`, `session-ended` or `dropped`.
    pub event: String,
    #[serde(default)]
    pub id: String,
    pub name: Option<String>,
    pub fencing_token: Option<u64>,
    /// The token that the hold had before.
    pub replaces: Option<u64>,
    pub why: Option<String>,
    pub dialect: Option<String>,
    /// The handle of the session.
    pub session: Option<String>,
    /// In `state` and `gap`.
    #[serde(default)]
    pub locks: Vec<Lock>,
    /// The URL of the full listing, if not all locks fit.
    pub rest: Option<String>,
    /// As the service wrote it.
    #[serde(skip)]
    pub json: String,
}

/// What [`Events::next`] returns.
#[derive(Debug)]
pub enum StreamItem {
    Event(Box<Event>),
    /// The stream broke off, for this reason, and will be resumed; reported once for each interruption.
    Interrupted(String),
}

pub struct Events {
    client: Client,
    query: EventQuery,
    stream: Option<OpenStream>,
    interrupted: bool,
}

impl Client {
    /// Streams events; nothing is sent before the first [`Events::next`].
    pub fn events(&self, query: EventQuery) -> Events {
        Events { client: self.clone(), query, stream: None, interrupted: false }
    }
}

impl Events {
    /// The next event. An error is final: the service refused, or could not be reached for the first event.
    pub async fn next(&mut self) -> Result<StreamItem, ClientError> {
        loop {
            let Some(open) = &mut self.stream else {
                let connected = match self.has_begun() {
                    true => self.connect().await,
                    false => self.client.with_notice(self.connect()).await,
                };
                match connected {
                    Ok(open) => self.stream = Some(open),
                    Err(error) if !self.has_begun() || !error.is_unavailable() => return Err(error),
                    Err(error) => {
                        if !std::mem::replace(&mut self.interrupted, true) {
                            return Ok(StreamItem::Interrupted(error.to_string()));
                        }
                    }
                }
                continue;
            };
            match open.next().await? {
                Message::Event(event) if event.event == "dropped" => {
                    let why = event.why.as_deref().unwrap_or("no reason given");
                    return Ok(self.interrupt(format!("the service ended the stream: {why}")));
                }
                Message::Event(event) if !self.query.matches(&event) => {
                    let what = "the stream tells of other locks, as one does that ignores `name` or `prefix`";
                    return Err(ClientError::WrongResponse { url: open.url.clone(), what: what.to_owned() });
                }
                Message::Event(event) => {
                    self.interrupted = false;
                    self.query.after = Some(event.id.clone());
                    return Ok(StreamItem::Event(event));
                }
                Message::Position(id) => self.query.after = Some(id),
                Message::End(reason) => return Ok(self.interrupt(reason)),
            }
        }
    }

    fn has_begun(&self) -> bool {
        self.query.after.is_some()
    }

    fn interrupt(&mut self, reason: String) -> StreamItem {
        self.stream = None;
        self.interrupted = true;
        self.client.use_next_url();
        StreamItem::Interrupted(reason)
    }

    /// Opens a stream at the first node that answers, within the client's retry policy.
    async fn connect(&self) -> Result<OpenStream, ClientError> {
        let call = self.query.call();
        let policy = self.client.retry_policy();
        let mut backoff = Backoff::new(RETRY_DELAY_MAX);
        loop {
            let error = match self.client.open_endless(&call, policy.attempt).await {
                Ok((url, response)) if is_event_stream(&response) => {
                    return Ok(OpenStream { url, blocks: Blocks::new(response.bytes_stream()) });
                }
                Ok((url, _)) => {
                    return Err(ClientError::WrongResponse { url, what: "it is no stream of events".to_owned() });
                }
                Err(error) => error,
            };
            // Another node may have a certificate that can be trusted.
            let asked_for = match error.retry_hint() {
                Some(asked_for) => asked_for,
                None if error.is_misconfigured() && self.client.urls() > 1 => None,
                None => return Err(error),
            };
            self.client.use_next_url();
            let next = Moment::now().after(backoff.next(asked_for));
            if next >= policy.until {
                return Err(error);
            }
            next.wait().await;
        }
    }
}

fn is_event_stream(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("text/event-stream"))
}

#[derive(Debug)]
enum Message {
    Event(Box<Event>),
    /// No event up to this id matches the query.
    Position(String),
    /// The stream ended, for this reason.
    End(String),
}

struct OpenStream {
    url: String,
    blocks: Blocks,
}

impl OpenStream {
    async fn next(&mut self) -> Result<Message, ClientError> {
        loop {
            let block = match tokio::time::timeout(SILENCE_TIMEOUT, self.blocks.next()).await {
                Ok(Some(Ok(block))) => block,
                Ok(Some(Err(error))) => return Ok(Message::End(self.describe(&error))),
                Ok(None) => return Ok(Message::End(format!("{} ended the stream", self.url))),
                Err(_) => return Ok(Message::End(format!("{} is silent", self.url))),
            };
            match block {
                Sse { data: Some(json), .. } => {
                    let event = serde_json::from_str::<Event>(&json)
                        .map_err(|reason| ClientError::Unintelligible { url: self.url.clone(), reason })?;
                    return Ok(Message::Event(Box::new(Event { json, ..event })));
                }
                Sse { id: Some(id), .. } => return Ok(Message::Position(id)),
                _ => {}
            }
        }
    }

    fn describe(&self, error: &sse_stream::Error) -> String {
        tracing::debug!(%error, "the stream broke off");
        match is_too_long(error) {
            true => "an event is too long".to_owned(),
            false => format!("the connection to {} was lost", self.url),
        }
    }
}

fn is_too_long(error: &sse_stream::Error) -> bool {
    let sse_stream::Error::Body(cause) = error else { return false };
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::FileTooLarge)
}

/// The blocks of a stream of server-sent events. The parser has no bound, so this counts the bytes between blocks.
struct Blocks {
    parser: SseByteStream<Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>>,
    unparsed: Arc<AtomicUsize>,
}

impl Blocks {
    fn new<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Self {
        let unparsed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&unparsed);
        let bounded = bytes.map(move |chunk| {
            let chunk = chunk.map_err(io::Error::other)?;
            let total = count.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
            if total > EVENT_BYTES_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(chunk) }
        });
        Self { parser: SseByteStream::new(Box::pin(bounded)), unparsed }
    }

    async fn next(&mut self) -> Option<Result<Sse, sse_stream::Error>> {
        let block = self.parser.next().await;
        self.unparsed.store(0, Ordering::Relaxed);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(chunks: Vec<Vec<u8>>) -> Blocks {
        Blocks::new(futures_util::stream::iter(chunks.into_iter().map(|chunk| io::Result::Ok(Bytes::from(chunk)))))
    }

    #[tokio::test]
    async fn events_are_parsed_from_chunks_of_any_size() {
        let stream = "retry: 1000\nid: 1-0\nevent: started\ndata: {}\n\n: heartbeat\nid: 4-0\n\n: nothing\n\nid: 5-1\r\n\
                      data:x\r\n\r\ndata: y";
        for size in 1..stream.len() {
            let mut blocks = blocks(stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect());
            let mut parsed = Vec::new();
            while let Some(block) = blocks.next().await {
                let Sse { id, data, .. } = block.expect("a block");
                parsed.push((id.expect("an id"), data.unwrap_or_default()));
            }
            let expected =
                [("1-0", "{}"), ("4-0", ""), ("5-1", "x")].map(|(id, data)| (id.to_owned(), data.to_owned()));
            assert_eq!(parsed, expected, "{size} bytes at once");
        }
    }

    #[tokio::test]
    async fn event_beyond_the_size_limit_is_refused() {
        let longest = [b"data: ".to_vec(), vec![b'x'; EVENT_BYTES_MAX - 8], b"\n\n".to_vec()];
        let mut blocks = blocks([&longest[..], &longest[..2], &[b"xxx".to_vec()]].concat());
        blocks.next().await.expect("a block").expect("within the limit");
        let error = blocks.next().await.expect("a result").expect_err("beyond the limit");
        assert!(is_too_long(&error), "{error}");
        assert!(blocks.next().await.is_none());
    }
}
