//! One client that takes and gives back free locks, while something else goes on, and how long its grants took.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::report::against;
use crate::servers::{Latchd, Transport};
use crate::session::{Numbers, Session, name};
use crate::statistics::Percentiles;

/// A row of a table, with the longest that is wanted.
pub fn grants(label: &str, what: &str, latencies: &[Duration], target: Option<f64>) -> Vec<String> {
    let of = Percentiles::of(latencies.to_vec());
    let value = format!("longest {:.1} ms, p50 {:.2}, p99 {:.2} of {}", of.max, of.p50, of.p99, latencies.len());
    let verdict = target.map_or_else(|| "-".to_owned(), |ms| against(format!("longest < {ms} ms"), of.max < ms));
    vec![label.to_owned(), what.to_owned(), value, verdict]
}

/// One client that keeps taking and giving back locks and notes how long each grant took.
pub struct Probe {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<io::Result<Vec<Duration>>>,
}

impl Probe {
    pub async fn start(server: &Latchd) -> Self {
        let session = Session::open(server.address(Transport::Plain), Transport::Plain).await.expect("it connects");
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(probe(session, Arc::clone(&stop)));
        Self { stop, task }
    }

    pub async fn for_a_while(self, duration: Duration) -> Vec<Duration> {
        tokio::time::sleep(duration).await;
        self.finish().await
    }

    pub async fn finish(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("no probe panics").expect("every request is answered")
    }
}

async fn probe(mut session: Session, stop: Arc<AtomicBool>) -> io::Result<Vec<Duration>> {
    let mut numbers = Numbers::of_client(u64::MAX);
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let name = name("prob", numbers.next());
        let began = Instant::now();
        let key = session.lock(&name).await?;
        latencies.push(began.elapsed());
        session.unlock(&name, &key).await?;
    }
    Ok(latencies)
}
