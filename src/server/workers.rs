//! Worker threads, one a core. Each serves the connections that were handed to it on a runtime of its own, so that a
//! connection and its requests stay on one core, and no request waits for another thread to wake.
//!
//! One listener is accepted from and its connections are handed out, the next one to the worker that has the fewest:
//! with a listener for each worker (`SO_REUSEPORT`) the kernel would spread connections by a hash, which is uneven while
//! there are few, and a second process could listen on the same port unnoticed.

use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use axum_server::{AddrListener, Address};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::base::{Drain, DrainPhase};

/// Connections that no worker has taken yet, at most. They are open files beside those of `server.connections_max`: see `system_limits.rs`.
pub const UNTAKEN_MAX: usize = 128;

/// Open files of a worker's runtime.
pub const FILES_PER_WORKER: u64 = 4;

/// After an error of `accept`, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// How long the tasks of a worker may take to end with it.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_millis(100);

pub struct Workers {
    workers: Vec<Worker>,
    /// One place for each connection that no worker has taken yet.
    untaken: Arc<Semaphore>,
}

struct Worker {
    runtime: runtime::Handle,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl Workers {
    /// So many workers, for at most `connections_max` connections.
    pub fn start(count: usize, connections_max: usize) -> io::Result<Workers> {
        let workers = (0..count).map(Worker::start).collect::<io::Result<_>>()?;
        // Where few files are allowed, few connections are.
        let untaken = UNTAKEN_MAX.min(connections_max.div_ceil(8));
        Ok(Workers { workers, untaken: Arc::new(Semaphore::new(untaken)) })
    }

    pub fn runtimes(&self) -> impl Iterator<Item = &runtime::Handle> {
        self.workers.iter().map(|worker| &worker.runtime)
    }

    /// The places for connections that no worker has taken yet, which all listeners share.
    pub fn untaken(&self) -> Arc<Semaphore> {
        Arc::clone(&self.untaken)
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

/// A connection on its way to a worker.
pub struct Arrival {
    stream: std::net::TcpStream,
    _untaken: OwnedSemaphorePermit,
}

/// What a worker accepts from: the connections that are handed to it.
pub struct Inbox {
    arrivals: Mutex<mpsc::Receiver<Arrival>>,
}

impl Inbox {
    pub fn new() -> (mpsc::Sender<Arrival>, Inbox) {
        let (sender, arrivals) = mpsc::channel(UNTAKEN_MAX);
        (sender, Inbox { arrivals: Mutex::new(arrivals) })
    }

    /// The next connection; `None` when no more will come.
    pub async fn next(&self) -> Option<std::net::TcpStream> {
        Some(self.arrivals.lock().await.recv().await?.stream)
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
            Some(arrival) => Ok((TcpStream::from_std(arrival.stream)?, HandedOver)),
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
    pub connections: Box<dyn Fn() -> usize + Send + Sync>,
}

impl Recipient {
    /// The worker's connections, those in its inbox included: a worker that is busy must not get all that come meanwhile.
    fn connections(&self) -> usize {
        (self.connections)() + self.inbox.max_capacity() - self.inbox.capacity()
    }
}

/// Hands out the connections of a listener until the drain has begun, and none waits in its queue or no worker takes any.
pub async fn hand_out(
    listener: std::net::TcpListener,
    recipients: Vec<Recipient>,
    untaken: Arc<Semaphore>,
    drain: Drain,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = drain.reached(DrainPhase::Closing) => return Ok(()),
        };
        let Ok(stream) = accepted.and_then(|(stream, _)| stream.into_std()) else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        // While all places are taken, the others wait in the listener's queue. An idle listener keeps none from the others.
        let place = tokio::select! {
            biased;
            place = Arc::clone(&untaken).acquire_owned() => place.map_err(io::Error::other)?,
            () = drain.reached(DrainPhase::Closing) => return Ok(()),
        };
        let arrival = Arrival { stream, _untaken: place };
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
    use std::net::SocketAddr;
    use std::sync::mpsc::RecvTimeoutError;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    const SOON: Duration = Duration::from_secs(60);

    struct HandingOut {
        address: SocketAddr,
        inboxes: Vec<Inbox>,
        drain: Drain,
        task: JoinHandle<io::Result<()>>,
    }

    impl HandingOut {
        fn start(workers: usize, untaken: &Arc<Semaphore>) -> HandingOut {
            let listener = socket::listen(([127, 0, 0, 1], 0).into(), false).expect("a free port");
            let address = listener.local_addr().expect("bound");
            let (inboxes, arrivals): (Vec<_>, Vec<_>) = (0..workers).map(|_| Inbox::new()).unzip();
            let recipients =
                inboxes.into_iter().map(|inbox| Recipient { inbox, connections: Box::new(|| 0) }).collect();
            let drain = Drain::default();
            let task = tokio::spawn(hand_out(listener, recipients, Arc::clone(untaken), drain.clone()));
            HandingOut { address, inboxes: arrivals, drain, task }
        }

        async fn connect(&self, count: usize) -> Vec<TcpStream> {
            let mut clients = Vec::new();
            for _ in 0..count {
                clients.push(TcpStream::connect(self.address).await.expect("a connection"));
            }
            clients
        }
    }

    async fn take(inbox: &Inbox) -> TcpStream {
        timeout(SOON, inbox.accept_stream()).await.expect("in time").expect("a connection").0
    }

    #[tokio::test]
    async fn connections_are_spread_evenly_over_the_workers() {
        let handing_out = HandingOut::start(3, &Arc::new(Semaphore::new(UNTAKEN_MAX)));
        let _clients = handing_out.connect(9).await;
        for inbox in &handing_out.inboxes {
            for _ in 0..3 {
                take(inbox).await;
            }
        }
        handing_out.drain.enter(DrainPhase::Closing);
        handing_out.task.await.expect("no panic").expect("it ends");
    }

    #[tokio::test]
    async fn connections_that_no_worker_takes_are_bounded_over_all_listeners() {
        let untaken = Arc::new(Semaphore::new(4));
        let (one, other) = (HandingOut::start(2, &untaken), HandingOut::start(2, &untaken));
        let _clients = (one.connect(8).await, other.connect(8).await);
        let waiting = || [&one, &other].iter().flat_map(|listener| &listener.inboxes).map(waiting).sum::<usize>();
        // Long enough for all sixteen, which wait in the kernel.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(waiting(), 4);
        // Each worker takes its own, whatever the others do.
        let takers = [one.inboxes, other.inboxes].into_iter().flatten().map(|inbox| {
            tokio::spawn(async move {
                for _ in 0..4 {
                    take(&inbox).await;
                }
            })
        });
        for taker in takers.collect::<Vec<_>>() {
            taker.await.expect("the rest follows");
        }
    }

    fn waiting(inbox: &Inbox) -> usize {
        inbox.arrivals.try_lock().expect("no task takes").len()
    }

    #[test]
    fn worker_ends_with_its_handle() {
        let workers = Workers::start(1, 1).expect("a worker");
        let runtime = workers.runtimes().next().expect("one").clone();
        let (ended, end) = std::sync::mpsc::channel::<()>();
        runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(ended);
        });
        drop(workers);
        assert_eq!(end.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected), "its tasks are dropped");
    }
}
