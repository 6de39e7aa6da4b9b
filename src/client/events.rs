//! What happens to locks, as it happens: a stream that goes on at another node where one breaks off, and that says so
//! where something is missing.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::clock::Moment;
use super::core::PAUSE_MAX;
use super::retry::Pauses;
use super::{Client, ClientError, Lock};

/// No answer's end is waited for: the stream has none.
const ENDLESS: Duration = Duration::from_secs(366 * 24 * 3600);
/// A stream without a sign of life for this long is taken for dead; the service gives one every 15 s unless told else.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// More than any event that a service sends.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Of this lock alone.
    pub name: Option<String>,
    /// Of locks whose name starts so; all of them, and the ends of sessions, if it is empty.
    pub prefix: String,
    /// After this id; at the present without one.
    pub after: Option<String>,
    /// Begins with the locks as they are, unless it goes on after an id.
    pub state: bool,
}

impl EventQuery {
    /// Whether an event is about what was asked for.
    fn asks_for(&self, event: &Event) -> bool {
        let names = event.name.iter().chain(event.locks.iter().map(|lock| &lock.name));
        names.into_iter().all(|name| match &self.name {
            Some(asked) => name == asked,
            None => name.starts_with(&self.prefix),
        })
    }
}

/// Something that happened, or the state where that is told.
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
    /// Of `state` and `gap`.
    #[serde(default)]
    pub locks: Vec<Lock>,
    /// Where the locks are that had no room.
    pub rest: Option<String>,
    /// As the service wrote it.
    #[serde(skip)]
    pub json: String,
}

/// What a stream tells.
#[derive(Debug)]
pub enum Told {
    Event(Box<Event>),
    /// The stream broke off and is taken up again where it was; told once until it is.
    Interrupted(String),
}

/// A stream of events.
pub struct Events {
    client: Client,
    query: EventQuery,
    stream: Option<Open>,
    interrupted: bool,
}

struct Open {
    url: String,
    response: Response,
    parser: Parser,
}

impl Client {
    /// Follows what happens; nothing is sent yet.
    pub fn events(&self, query: EventQuery) -> Events {
        Events { client: self.clone(), query, stream: None, interrupted: false }
    }
}

impl Events {
    /// What comes next. An error is for good: the service refuses, or could not be reached to begin with.
    pub async fn next(&mut self) -> Result<Told, ClientError> {
        loop {
            let Some(open) = &mut self.stream else {
                let connected = match self.has_begun() {
                    true => self.connect().await,
                    false => self.client.noticed(self.connect()).await,
                };
                match connected {
                    Ok(open) => self.stream = Some(open),
                    Err(error) if !self.has_begun() || !error.is_unavailable() => return Err(error),
                    Err(error) => {
                        if !std::mem::replace(&mut self.interrupted, true) {
                            return Ok(Told::Interrupted(error.to_string()));
                        }
                    }
                }
                continue;
            };
            match open.next().await? {
                Heard::Event(event) if event.event == "dropped" => {
                    let why = event.why.as_deref().unwrap_or("no reason given").to_owned();
                    return Ok(self.broken_off(format!("the service ended the stream: {why}")));
                }
                Heard::Event(event) if !self.query.asks_for(&event) => {
                    let what =
                        "the stream tells of other locks, as one does that ignores `name` or `prefix`".to_owned();
                    return Err(ClientError::Astray { url: open.url.clone(), what });
                }
                Heard::Event(event) => {
                    self.interrupted = false;
                    self.query.after = Some(event.id.clone());
                    return Ok(Told::Event(event));
                }
                Heard::Place(id) => self.query.after = Some(id),
                Heard::End(reason) => return Ok(self.broken_off(reason)),
            }
        }
    }

    fn has_begun(&self) -> bool {
        self.query.after.is_some()
    }

    fn broken_off(&mut self, reason: String) -> Told {
        self.stream = None;
        self.interrupted = true;
        self.client.turn_to_the_next();
        Told::Interrupted(reason)
    }

    /// One stream from whichever node answers, within the client's patience.
    async fn connect(&self) -> Result<Open, ClientError> {
        let call = self.call();
        let patience = self.client.patience();
        let mut pauses = Pauses::new(PAUSE_MAX);
        loop {
            let error = match self.client.open_endless(&call, patience.attempt, ENDLESS).await {
                Ok((url, response)) if is_stream(&response) => {
                    return Ok(Open { url, response, parser: Parser::default() });
                }
                Ok((url, _)) => return Err(ClientError::Astray { url, what: "it is no stream of events".to_owned() }),
                Err(error) => error,
            };
            // Another node may have a certificate that can be trusted.
            let asked_for = match error.worth_another_try() {
                Some(asked_for) => asked_for,
                None if error.is_misconfigured() && self.client.0.bases.len() > 1 => None,
                None => return Err(error),
            };
            self.client.turn_to_the_next();
            let next = Moment::now().after(pauses.next(asked_for));
            if next >= patience.until {
                return Err(error);
            }
            next.wait().await;
        }
    }

    fn call(&self) -> Call {
        let call = Call::new(Method::GET, "/v1/events");
        let call = match &self.query.name {
            Some(name) => call.query("name", name),
            None => call.query("prefix", &self.query.prefix),
        };
        match &self.query.after {
            Some(id) => call.header("Last-Event-ID", id),
            None if self.query.state => call.query("state", "true"),
            None => call,
        }
    }
}

fn is_stream(response: &Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.starts_with("text/event-stream"))
}

/// What a stream said.
#[derive(Debug)]
enum Heard {
    Event(Box<Event>),
    /// Everything up to this id was not asked for.
    Place(String),
    End(String),
}

impl Open {
    async fn next(&mut self) -> Result<Heard, ClientError> {
        loop {
            if let Some(said) = self.parser.said.pop_front() {
                return match said.data.is_empty() {
                    true => Ok(Heard::Place(said.id)),
                    false => self.read(said),
                };
            }
            match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) if !self.parser.feed(&chunk) => {
                    return Ok(Heard::End("an event is too long".into()));
                }
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => return Ok(Heard::End(format!("{} ended the stream", self.url))),
                Ok(Err(error)) => {
                    // In whichever words the layer below has for it.
                    tracing::debug!(%error, "the stream broke off");
                    return Ok(Heard::End(format!("the connection to {} was lost", self.url)));
                }
                Err(_) => return Ok(Heard::End(format!("{} is silent", self.url))),
            }
        }
    }

    fn read(&self, said: Said) -> Result<Heard, ClientError> {
        let read = serde_json::from_str::<Event>(&said.data);
        let event = read.map_err(|reason| ClientError::Unintelligible { url: self.url.clone(), reason })?;
        Ok(Heard::Event(Box::new(Event { json: said.data, ..event })))
    }
}

/// One block of the stream; without data it only moves the id.
#[derive(Debug, Default, PartialEq)]
struct Said {
    id: String,
    data: String,
}

/// Lines of server-sent events.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    block: Said,
    said: VecDeque<Said>,
}

impl Parser {
    /// Takes some bytes; `false` if an event is longer than any can be.
    fn feed(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                b'\n' => self.end_of_line(),
                byte => self.line.push(*byte),
            }
        }
        self.line.len() + self.block.data.len() <= EVENT_BYTES_MAX
    }

    fn end_of_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            let block = std::mem::take(&mut self.block);
            let says_something = block != Said::default();
            self.said.extend(says_something.then_some(block));
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut self.block.id),
            "data" => self.block.data.push_str(value),
            // The type stands in the data too; a comment has no field.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: &str, data: &str) -> Said {
        Said { id: id.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_parsed_from_chunks_of_any_size() {
        let stream = "retry: 1000\nid: 1-0\nevent: started\ndata: {}\n\n: heartbeat\nid: 4-0\n\n: nothing\n\nid: 5-1\r\n\
                      data:x\r\n\r\ndata: y";
        for size in 1..stream.len() {
            let mut parser = Parser::default();
            assert!(stream.as_bytes().chunks(size).all(|chunk| parser.feed(chunk)));
            let expected = [said("1-0", "{}"), said("4-0", ""), said("5-1", "x")];
            assert_eq!(Vec::from(parser.said), expected, "{size} bytes at once");
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = Parser::default();
        let chunk = vec![b'x'; EVENT_BYTES_MAX];
        assert!(parser.feed(&chunk));
        assert!(!parser.feed(b"x"));
    }
}
