//! How a client reaches a node: its request runs inside the node's process, as a handler of the server would.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use latchd::engine::{Engine, GrantGuard};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::node::Node;

/// The engines of the running processes; clones are the same.
#[derive(Clone, Default)]
pub struct Endpoints(Arc<Mutex<EndpointTable>>);

#[derive(Default)]
struct EndpointTable {
    endpoints: BTreeMap<u64, Endpoint>,
    /// Connections by their number: the node, and a signal for its end.
    connections: BTreeMap<u64, (u64, oneshot::Sender<()>)>,
    numbers: u64,
}

struct Endpoint {
    handle: Handle,
    engine: Arc<std::sync::OnceLock<Engine>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// No request was sent.
    NotSent,
    Lost,
}

impl Endpoints {
    pub fn open(&self, node: u64, it: &Node) {
        if let Some((handle, engine)) = it.endpoint() {
            self.lock().endpoints.insert(node, Endpoint { handle, engine });
        }
    }

    /// The process ends. Its clients are told one after another: as its tasks are dropped they would be told in an order
    /// that does not follow from the seed.
    pub fn close(&self, node: u64) {
        let mut inner = self.lock();
        inner.endpoints.remove(&node);
        let (lost, left) = std::mem::take(&mut inner.connections).into_iter().partition(|(_, (to, _))| *to == node);
        inner.connections = left;
        let lost: BTreeMap<u64, (u64, oneshot::Sender<()>)> = lost;
        // A client may be gone already.
        lost.into_values().for_each(|(_, client)| _ = client.send(()));
    }

    fn lock(&self) -> MutexGuard<'_, EndpointTable> {
        self.0.lock().expect("no panic while locked")
    }

    fn find(&self, node: u64) -> Option<(Handle, Engine)> {
        let inner = self.lock();
        let endpoint = inner.endpoints.get(&node)?;
        Some((endpoint.handle.clone(), endpoint.engine.get()?.clone()))
    }

    fn connect(&self, node: u64) -> (u64, oneshot::Receiver<()>) {
        let (sender, lost) = oneshot::channel();
        let mut inner = self.lock();
        inner.numbers += 1;
        let number = inner.numbers;
        inner.connections.insert(number, (node, sender));
        (number, lost)
    }

    /// Asks a node; `travels` is how long the request and its answer each are on their way. A hold is delivered when
    /// its answer is on its way; a client that waits no longer closes its connection.
    pub async fn ask<T, F>(
        &self,
        node: u64,
        travels: Duration,
        patience: Duration,
        what: impl FnOnce(Engine) -> F,
    ) -> Result<T, NoAnswer>
    where
        T: Send + 'static,
        F: Future<Output = (T, Option<GrantGuard>)> + Send + 'static,
    {
        sleep(travels).await;
        let Some((handle, engine)) = self.find(node) else {
            sleep(travels).await;
            return Err(NoAnswer::NotSent);
        };
        let (connection, lost) = self.connect(node);
        let (mut answer, answered) = oneshot::channel();
        let handling = what(engine);
        handle.spawn(async move {
            let (what, delivery) = tokio::select! {
                biased;
                () = answer.closed() => return,
                done = handling => done,
            };
            if answer.send(what).is_ok()
                && let Some(delivery) = delivery
            {
                delivery.delivered();
            }
        });
        let came = tokio::select! {
            biased;
            _ = lost => None,
            came = timeout(patience, answered) => came.ok().and_then(Result::ok),
        };
        self.lock().connections.remove(&connection);
        let what = came.ok_or(NoAnswer::Lost)?;
        sleep(travels).await;
        Ok(what)
    }
}
