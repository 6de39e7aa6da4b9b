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
    /// Only of the leaders of this election.
    pub election: Option<String>,
    /// Only of locks with this prefix; if empty, of all locks, and the ends of sessions.
    pub prefix: String,
    /// Only events after this id; without one, events from now on.
    pub after: Option<String>,
    /// Begin with the current locks, unless `after` is set.
    pub state: bool,
}

impl EventQuery {
    /// Reads an event, and checks that it is about the locks that were asked for.
    fn read(&self, json: String, url: &str) -> Result<Event, ClientError> {
        let event: Event = serde_json::from_str(&json)
            .map_err(|reason| ClientError::Unintelligible { url: url.to_owned(), reason })?;
        let mut names = event.name.iter().chain(event.locks.iter().map(|lock| &lock.name));
        let is_asked_for = names.all(|name| match self.name.as_ref().or(self.election.as_ref()) {
            Some(asked) => name == asked,
            None => name.starts_with(&self.prefix),
        });
        if !is_asked_for {
            let what = "the stream tells of other locks, as one does that ignores `name` or `prefix`";
            return Err(ClientError::WrongResponse { url: url.to_owned(), what: what.to_owned() });
        }
        Ok(Event { json, ..event })
    }

    fn call(&self) -> Call {
        let call = Call::new(Method::GET, "/v1/events");
        let call = match (&self.name, &self.election) {
            (Some(name), _) => call.query("name", name),
            (None, Some(name)) => call.query("election", name),
            (None, None) => call.query("prefix", &self.prefix),
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
    /// `started`, `state`, `gap`, `granted`, `released`, `expired`, `forced`, `value-changed`, `frozen`, `thawed`,
    /// `session-ended` or `dropped`.
    pub event: String,
    #[serde(default)]
    pub id: String,
    pub name: Option<String>,
    pub fencing_token: Option<u64>,
    /// The token that the hold had before.
    pub replaces: Option<u64>,
    /// `exclusive`, `shared` or `counted`.
    pub mode: Option<String>,
    pub weight: Option<u32>,
    /// What the leader of an election says about itself.
    pub value: Option<String>,
    pub why: Option<String>,
    pub dialect: Option<String>,
    /// The handle of the session.
    pub session: Option<String>,
    /// Of freezes: a name, or what names start with.
    pub target: Option<String>,
    /// Of freezes: `name`, `prefix` or `everything`.
    pub r#match: Option<String>,
    /// Of freezes: `drain` or `break`.
    pub holds: Option<String>,
    /// Of freezes.
    pub reason: Option<String>,
    /// How long the freeze was to last when it began.
    pub for_seconds: Option<f64>,
    /// In `state` and `gap`.
    #[serde(default)]
    pub locks: Vec<Lock>,
    /// In those of an election, unless nobody leads.
    pub leader: Option<EventLeader>,
    /// The URL of the full listing, if not all locks fit.
    pub rest: Option<String>,
    /// As the service wrote it.
    #[serde(skip)]
    pub json: String,
}

/// The leader in a state.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct EventLeader {
    pub value: String,
    pub fencing_token: u64,
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
                match self.connect().await {
                    Ok(open) => self.stream = Some(open),
                    Err(error) if !self.has_begun() || !error.is_unavailable() => return Err(error),
                    Err(_) if self.interrupted => {}
                    Err(error) => {
                        self.interrupted = true;
                        return Ok(StreamItem::Interrupted(error.to_string()));
                    }
                }
                continue;
            };
            let (id, json) = match open.next().await {
                Ok(Sse { id, data, .. }) => (id, data),
                Err(reason) => return Ok(self.interrupt(reason)),
            };
            let Some(json) = json else {
                // No event up to this id matches the query.
                self.query.after = id.or_else(|| self.query.after.take());
                continue;
            };
            let event = self.query.read(json, &open.url)?;
            if event.event == "dropped" {
                let why = event.why.as_deref().unwrap_or("no reason given");
                return Ok(self.interrupt(format!("the service ended the stream: {why}")));
            }
            self.interrupted = false;
            self.query.after = Some(event.id.clone());
            return Ok(StreamItem::Event(Box::new(event)));
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
        let (call, policy) = (self.query.call(), self.client.retry_policy());
        let opening = self.client.repeat(policy, || self.client.open_endless(&call, policy.attempt));
        let opened = if self.has_begun() { opening.await } else { self.client.with_notice(opening).await };
        let ((url, response), _) = opened?;
        if !is_event_stream(&response) {
            return Err(ClientError::WrongResponse { url, what: "it is no stream of events".to_owned() });
        }
        Ok(OpenStream::new(url, response.bytes_stream()))
    }
}

fn is_event_stream(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("text/event-stream"))
}

/// A stream of server-sent events. The parser has no bound, so this counts the bytes between blocks.
struct OpenStream {
    url: String,
    parser: SseByteStream<Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>>,
    unparsed: Arc<AtomicUsize>,
}

impl OpenStream {
    fn new<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        url: String,
        bytes: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Self {
        let unparsed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&unparsed);
        let bounded = bytes.map(move |chunk| {
            let chunk = chunk.map_err(io::Error::other)?;
            let total = count.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
            if total > EVENT_BYTES_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(chunk) }
        });
        Self { url, parser: SseByteStream::new(Box::pin(bounded)), unparsed }
    }

    /// The next block, or why the stream ended.
    async fn next(&mut self) -> Result<Sse, String> {
        let block = tokio::time::timeout(SILENCE_TIMEOUT, self.parser.next()).await;
        self.unparsed.store(0, Ordering::Relaxed);
        match block {
            Ok(Some(block)) => block.map_err(|error| self.describe(&error)),
            Ok(None) => Err(format!("{} ended the stream", self.url)),
            Err(_) => Err(format!("{} is silent", self.url)),
        }
    }

    fn describe(&self, error: &sse_stream::Error) -> String {
        tracing::debug!(%error, "the stream broke off");
        let cause = match error {
            sse_stream::Error::Body(cause) => cause.downcast_ref::<io::Error>(),
            _ => None,
        };
        match cause.map(io::Error::kind) {
            Some(io::ErrorKind::FileTooLarge) => "an event is too long".to_owned(),
            _ => format!("the connection to {} was lost", self.url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream_of(chunks: Vec<Vec<u8>>) -> OpenStream {
        let chunks = chunks.into_iter().map(|chunk| io::Result::Ok(Bytes::from(chunk)));
        OpenStream::new("https://a".to_owned(), futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn events_are_parsed_from_chunks_of_any_size() {
        let stream = "retry: 1000\nid: 1-0\nevent: started\ndata: {}\n\n: heartbeat\nid: 4-0\n\n: nothing\n\nid: 5-1\r\n\
                      data:x\r\n\r\ndata: y";
        for size in 1..stream.len() {
            let mut stream = stream_of(stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect());
            let mut parsed = Vec::new();
            while let Ok(Sse { id, data, .. }) = stream.next().await {
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
        let mut stream = stream_of([&longest[..], &longest[..2], &[b"xxx".to_vec()]].concat());
        stream.next().await.expect("within the limit");
        assert_eq!(stream.next().await.expect_err("beyond the limit"), "an event is too long");
        assert_eq!(stream.next().await.expect_err("the end"), "https://a ended the stream");
    }
}
