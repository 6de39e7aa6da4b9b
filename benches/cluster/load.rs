//! The closed loop, the same for both: each client sends its next request when it has the answer to the last one.

use std::time::{Duration, Instant};

use crate::statistics::Percentiles;

/// Which nodes the clients talk to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Through {
    Leader,
    All,
}

impl Through {
    pub fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::All => "all nodes",
        }
    }
}

pub struct Measured {
    pub cycles_per_second: f64,
    pub p99_ms: f64,
}

/// A cluster under load.
pub trait Service {
    type Client: Client;

    fn name(&self) -> &'static str;

    /// The node that leads now, by its place.
    async fn leader(&self) -> usize;

    fn size(&self) -> usize;

    /// A client with a connection and a session (a lease) of its own at one node.
    async fn connect(&self, node: usize) -> Self::Client;
}

pub trait Client: Send + 'static {
    /// Acquires a free lock and releases it.
    fn cycle(&mut self, name: &str) -> impl Future<Output = ()> + Send;
}

pub async fn measure<S: Service>(
    service: &S,
    clients: usize,
    through: Through,
    (warmup, measured): (Duration, Duration),
) -> Measured {
    let leader = service.leader().await;
    let mut connected = Vec::with_capacity(clients);
    for number in 0..clients {
        let node = if through == Through::Leader { leader } else { number % service.size() };
        connected.push(service.connect(node).await);
    }
    let start = Instant::now() + warmup;
    let end = start + measured;
    let tasks: Vec<_> = connected
        .into_iter()
        .enumerate()
        .map(|(number, client)| tokio::spawn(one_client(client, number, start, end)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("no client panics"));
    }
    Measured {
        cycles_per_second: latencies.len() as f64 / measured.as_secs_f64(),
        p99_ms: Percentiles::of(latencies).p99,
    }
}

/// The latencies of the cycles that ended within the window.
async fn one_client(mut client: impl Client, number: usize, start: Instant, end: Instant) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(4096);
    let mut began = Instant::now();
    let mut cycle: u64 = 0;
    while began < end {
        cycle += 1;
        client.cycle(&format!("free-{number:04}-{cycle:012}")).await;
        let now = Instant::now();
        if began >= start && now <= end {
            latencies.push(now - began);
        }
        began = now;
    }
    latencies
}
