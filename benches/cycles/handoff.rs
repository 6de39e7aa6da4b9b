//! One lock that eight clients want: how fast it goes from the holder that gives it back to the next in the queue.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::arguments::{Arguments, Row};
use crate::load::Window;
use crate::report::{Table, against, progress};
use crate::servers::{Latchd, Storage, Transport};
use crate::session::{Session, name};
use crate::statistics::{Percentiles, median};

const CLIENTS: usize = 8;
const TURNS_RATIO_TARGET: f64 = 1.05;

fn target_milliseconds(storage: Storage) -> f64 {
    match storage {
        Storage::Memory => 0.3,
        Storage::Durable => 1.0,
    }
}

/// All passes of one storage.
#[derive(Default)]
struct Series {
    latencies: Vec<Percentiles>,
    rates: Vec<f64>,
    turn_ratios: Vec<f64>,
}

pub async fn run(arguments: &Arguments) {
    let chosen = [(Row::Memory, Storage::Memory), (Row::Durable, Storage::Durable)];
    let mut rows: Vec<(Storage, Latchd, Series)> = chosen
        .into_iter()
        .filter(|(row, _)| arguments.row(*row))
        .map(|(_, storage)| (storage, Latchd::start(storage), Series::default()))
        .collect();
    let window = Window {
        warmup: Duration::from_secs_f64(arguments.warmup),
        measured: Duration::from_secs_f64(arguments.seconds),
    };
    for pass in 1..=arguments.passes {
        for (storage, server, series) in &mut rows {
            one_pass(server, window, series).await;
            let p50 = series.latencies.last().map_or(0.0, |latency| latency.p50);
            progress(&format!("hand-off, pass {pass}/{}, {}: p50 {p50:.3} ms", arguments.passes, storage.name()));
        }
    }
    let mut table =
        Table::new(&["storage", "hand-offs/s", "p50 / p99 / p99.9 ms", "target p50", "turns max/min", "target turns"]);
    for (storage, _, series) in &rows {
        let latency = Percentiles::medians(&series.latencies);
        let target = target_milliseconds(*storage);
        let turns = median(&series.turn_ratios);
        table.row(vec![
            storage.name().to_owned(),
            format!("{:.0}", median(&series.rates)),
            format!("{:.3} / {:.3} / {:.3}", latency.p50, latency.p99, latency.p999),
            against(format!("< {target} ms"), latency.p50 < target),
            format!("{turns:.3}"),
            against(format!("<= {TURNS_RATIO_TARGET}"), turns <= TURNS_RATIO_TARGET),
        ]);
    }
    table.print(&format!("Hand-off among {CLIENTS} waiting clients, plaintext: release sent to next grant received"));
}

/// When the holder sent its release; taken by the client that is granted next.
type Released = Arc<Mutex<Option<Instant>>>;

async fn one_pass(server: &Latchd, window: Window, series: &mut Series) {
    let released = Released::default();
    let mut sessions = Vec::new();
    for _ in 0..CLIENTS {
        let address = server.address(Transport::Plain);
        sessions.push(Session::open(address, Transport::Plain).await.expect("every client connects"));
    }
    let start = Instant::now() + window.warmup;
    let end = start + window.measured;
    let tasks: Vec<_> = sessions
        .into_iter()
        .map(|session| tokio::spawn(one_client(session, Arc::clone(&released), start, end)))
        .collect();
    let mut latencies = Vec::new();
    let mut turns = Vec::new();
    for task in tasks {
        let mine = task.await.expect("no client panics").expect("every request is answered");
        turns.push(mine.len() as f64);
        latencies.extend(mine);
    }
    let (low, high) =
        turns.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &count| (low.min(count), high.max(count)));
    series.turn_ratios.push(high / low);
    series.rates.push(latencies.len() as f64 / window.measured.as_secs_f64());
    series.latencies.push(Percentiles::of(latencies));
}

/// One hand-off time for each turn of this client within the window.
async fn one_client(
    mut session: Session,
    released: Released,
    start: Instant,
    end: Instant,
) -> io::Result<Vec<Duration>> {
    let name = name("hand", 0);
    let text = String::from_utf8_lossy(&name).into_owned();
    let body = format!(r#"{{"name":"{text}","wait_timeout_seconds":30,"lock_timeout_seconds":60}}"#);
    let mut latencies = Vec::new();
    loop {
        let key = session.lock_with(&body).await?;
        let granted = Instant::now();
        let sent = released.lock().expect("no client panics").take();
        if let Some(sent) = sent.filter(|_| granted >= start && granted <= end) {
            latencies.push(granted - sent);
        }
        *released.lock().expect("no client panics") = Some(Instant::now());
        session.unlock(&name, &key).await?;
        if granted > end {
            return Ok(latencies);
        }
    }
}
