//! Worker threads, one a core. Each serves the connections that were handed to it on a runtime of its own, so that a
//! connection and its requests stay on one core, and no request waits for another thread to wake.
//!
//! One listener is accepted from and its connections are handed out, the next one to the worker that has the fewest:
//! with a listener for each worker (`SO_REUSEPORT`) the kernel would spread connections by a hash, which is uneven while
//! there are few, and a second process could listen on the same port unnoticed.

use std::io;
use std::thread;
use std::time::Duration;

use axum_server::{AddrListener, Address, Handle};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::drain::Drain;

/// Connections that a worker has not taken yet.
const INBOX_CONNECTIONS: usize = 1024;

/// After an error of `accept`, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How long the tasks of a worker may take to end with it.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_millis(100);

pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: runtime::Handle,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl Workers {
    pub fn start(count: usize) -> io::Result<Workers> {
        (0..count).map(Worker::start).collect::<io::Result<_>>().map(Workers)
    }

    pub fn runtimes(&self) -> impl Iterator<Item = &runtime::Handle> {
        self.0.iter().map(|worker| &worker.runtime)
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Worker> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new().name(format!("http-{number}")).spawn(move || run(runtime, stopped))?;
        Ok(Worker { runtime: handle, _stop: stop })
    }
}

fn run(runtime: Runtime, stopped: oneshot::Receiver<()>) {
    // An error means that the sender was dropped, which is the signal.
    _ = runtime.block_on(stopped);
    runtime.shutdown_timeout(LEFTOVERS_TIMEOUT);
}

/// Where connections come from that were handed over.
#[derive(Clone)]
pub struct HandedOver;

type Arrival = std::net::TcpStream;

/// What a worker accepts from: the connections that are handed to it.
pub struct Inbox {
    arrivals: Mutex<mpsc::Receiver<Arrival>>,
}

impl Inbox {
    pub fn new() -> (mpsc::Sender<Arrival>, Inbox) {
        let (sender, arrivals) = mpsc::channel(INBOX_CONNECTIONS);
        (sender, Inbox { arrivals: Mutex::new(arrivals) })
    }
}

impl Address for HandedOver {
    type Stream = TcpStream;
    type Listener = Inbox;
}

impl AddrListener<TcpStream, HandedOver> for Inbox {
    async fn bind_to(_: HandedOver) -> io::Result<Inbox> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn accept_stream(&self) -> io::Result<(TcpStream, HandedOver)> {
        match self.arrivals.lock().await.recv().await {
            Some(stream) => Ok((TcpStream::from_std(stream)?, HandedOver)),
            // No more will come; the server is about to end.
            None => std::future::pending().await,
        }
    }

    fn get_local_addr(&self) -> io::Result<HandedOver> {
        Ok(HandedOver)
    }
}

/// A worker's inbox, and how many connections the worker has.
pub struct Recipient {
    pub inbox: mpsc::Sender<Arrival>,
    pub handle: Handle<HandedOver>,
}

impl Recipient {
    /// The worker's connections, those in its inbox included: a worker that is busy must not get all that come meanwhile.
    fn connections(&self) -> usize {
        self.handle.connection_count() + self.inbox.max_capacity() - self.inbox.capacity()
    }
}

/// Hands out the connections of a listener until the drain has begun and none waits in the listener's queue.
pub async fn hand_out(listener: std::net::TcpListener, recipients: Vec<Recipient>, drain: Drain) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = drain.begun() => return Ok(()),
        };
        let Ok(arrival) = accepted.and_then(|(stream, _)| stream.into_std()) else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let turns = (0..recipients.len()).map(|turn| (next + turn) % recipients.len());
        let Some(chosen) = turns.min_by_key(|turn| recipients[*turn].connections()) else { return Ok(()) };
        next = chosen + 1;
        // A worker that is gone takes nothing: the client sees its connection closed.
        _ = recipients[chosen].inbox.send(arrival).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::socket;

    #[tokio::test]
    async fn connections_are_spread_evenly_over_the_workers() {
        let listener = socket::listen(([127, 0, 0, 1], 0).into(), false).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (recipients, inboxes): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| {
                let (inbox, arrivals) = Inbox::new();
                (Recipient { inbox, handle: Handle::new() }, arrivals)
            })
            .unzip();
        let drain = Drain::default();
        let handing_out = tokio::spawn(hand_out(listener, recipients, drain.clone()));
        let mut clients = Vec::new();
        for _ in 0..9 {
            clients.push(TcpStream::connect(address).await.expect("a connection"));
        }
        for inbox in &inboxes {
            for _ in 0..3 {
                inbox.accept_stream().await.expect("a connection");
            }
        }
        drain.begin();
        handing_out.await.expect("no panic").expect("it ends");
    }

    #[test]
    fn worker_ends_with_its_handle() {
        let workers = Workers::start(1).expect("a worker");
        let runtime = workers.runtimes().next().expect("one").clone();
        let (ended, end) = std::sync::mpsc::channel::<()>();
        runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(ended);
        });
        drop(workers);
        assert_eq!(end.recv(), Err(std::sync::mpsc::RecvError), "its tasks are dropped");
    }
}
