//! How events reach a reader: a task of its own writes into a few places that the connection takes from.
//!
//! A slow reader falls behind and gets a gap event; a reader that takes nothing at all is dropped. Each costs no more than
//! these few chunks, and delays no other.

use super::schema::{self, DropReason};
use crate::access::Identity;
use crate::engine::events::{EventOptions, Subscription, Update};
use crate::http::connection::Connection;
use crate::http::standing;
use axum::body::{Body, Bytes};
use futures_util::stream;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

/// Chunks on their way to one reader; each has the events of one step.
const CHUNKS: usize = 4;

/// How long a reader that is dropped may take to fetch its last event.
const LAST_EVENT_TIMEOUT: Duration = Duration::from_secs(3);

/// The body of an answer, which ends with its reader, or with the credential of `viewer`. `full_listing` is the URL of all
/// locks, for a state that has no room for them.
pub fn body(
    reader: Subscription,
    viewer: Identity,
    of_election: bool,
    full_listing: String,
    options: EventOptions,
    connection: Option<Arc<Connection>>,
) -> Body {
    let (chunks, taken) = mpsc::channel(CHUNKS);
    let (last, ending) = oneshot::channel();
    let (body_lives, body_gone) = oneshot::channel::<Infallible>();
    let stream = Stream { chunks, of_election, full_listing, options };
    tokio::spawn(async move {
        let end = tokio::select! {
            end = stream.run(reader) => end,
            () = standing::ended(viewer) => StreamEnd::Dropped(DropReason::CredentialEnded),
        };
        let StreamEnd::Dropped(why) = end else { return };
        if last.send(schema::dropped(why).into()).is_err() {
            return;
        }
        if tokio::time::timeout(LAST_EVENT_TIMEOUT, body_gone).await.is_err() {
            tracing::info!("a reader of events that takes nothing is cut off ({})", why.as_str());
            connection.iter().for_each(|connection| connection.end());
        }
    });
    let state = (taken, Some(ending), body_lives);
    Body::from_stream(stream::unfold(state, |(mut taken, mut ending, body_lives)| async {
        let chunk: Option<Bytes> = match (taken.recv().await, ending.take()) {
            (Some(chunk), unused) => {
                ending = unused;
                Some(chunk)
            }
            (None, Some(last)) => last.await.ok(),
            (None, None) => None,
        };
        chunk.map(|chunk| (Ok::<_, Infallible>(chunk), (taken, ending, body_lives)))
    }))
}

struct Stream {
    chunks: mpsc::Sender<Bytes>,
    of_election: bool,
    full_listing: String,
    options: EventOptions,
}

enum StreamEnd {
    /// The body is gone.
    Closed,
    Dropped(DropReason),
}

impl Stream {
    /// Until the body is gone or the reader is dropped.
    async fn run(self, mut reader: Subscription) -> StreamEnd {
        let mut ended = pin!(reader.ended());
        loop {
            let chunk = match self.next(&mut reader).await {
                Ok(Update::Ended) => return StreamEnd::Dropped(DropReason::ShuttingDown),
                Ok(step) => self.written(&step),
                Err(cut) => return cut,
            };
            let sent = tokio::select! {
                sent = self.send(chunk) => sent,
                () = &mut ended => Err(StreamEnd::Dropped(DropReason::ShuttingDown)),
            };
            if let Err(cut) = sent {
                return cut;
            }
        }
    }

    /// The next step to send; heartbeats meanwhile.
    async fn next(&self, reader: &mut Subscription) -> Result<Update, StreamEnd> {
        let mut place = reader.last_id();
        let mut silence = pin!(sleep(self.options.heartbeat));
        loop {
            let step = {
                let mut next = pin!(reader.next());
                loop {
                    tokio::select! {
                        biased;
                        () = self.chunks.closed() => return Err(StreamEnd::Closed),
                        () = &mut silence => {
                            self.send(schema::heartbeat(place).into()).await?;
                            silence.set(sleep(self.options.heartbeat));
                        }
                        step = &mut next => break step,
                    }
                }
            };
            match step {
                Update::Passed(upto) => place = Some(upto),
                step => return Ok(step),
            }
        }
    }

    async fn send(&self, chunk: Bytes) -> Result<(), StreamEnd> {
        match tokio::time::timeout(self.options.slow_reader_after, self.chunks.send(chunk)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StreamEnd::Closed),
            Err(_) => Err(StreamEnd::Dropped(DropReason::SlowReader)),
        }
    }

    fn written(&self, step: &Update) -> Bytes {
        let mut out = Vec::new();
        match step {
            Update::Begun(id) => schema::started(&mut out, *id),
            Update::State(state) => schema::state(&mut out, state, None, &self.full_listing),
            Update::Gap(why, state) => schema::state(&mut out, state, Some(*why), &self.full_listing),
            Update::Events(events, _) => {
                events.iter().for_each(|event| schema::happened(&mut out, event, self.of_election));
            }
            Update::Passed(_) | Update::Ended => {}
        }
        out.into()
    }
}
