//! Lock and unlock of random, uncontended names, beside the echo and, over plaintext, Redis with the same durability.

use std::time::Duration;

use crate::arguments::{Arguments, Row};
use crate::load::{Dialect, Measured, Target, Window, cycles};
use crate::redis::Redis;
use crate::report::{Table, against, progress};
use crate::servers::{Echo, Latchd, Storage, Transport};
use crate::statistics::{Percentiles, median, spread_percent};

/// The shares of the echo that must be reached in memory, by the number of clients.
const ECHO_TARGETS: [(usize, f64); 2] = [(1, 0.85), (64, 0.80)];
/// The share of Redis, which flushes as well, that must be reached on disk.
const REDIS_TARGET: f64 = 0.75;

/// All passes of one row.
struct Series {
    storage: Storage,
    transport: Transport,
    clients: usize,
    rates: Vec<f64>,
    echo_rates: Vec<f64>,
    latencies: Vec<Percentiles>,
    echo_latencies: Vec<Percentiles>,
    processor_us: Vec<f64>,
    echo_processor_us: Vec<f64>,
    redis_rates: Vec<f64>,
}

/// The servers of one storage.
struct Rivals {
    storage: Storage,
    latchd: Latchd,
    /// `None` where its package is not unpacked.
    redis: Option<Redis>,
}

pub async fn run(arguments: &Arguments) {
    let storages: Vec<Storage> = [(Row::Memory, Storage::Memory), (Row::Durable, Storage::Durable)]
        .into_iter()
        .filter_map(|(row, storage)| arguments.row(row).then_some(storage))
        .collect();
    let transports: Vec<Transport> = [(Row::Plain, Transport::Plain), (Row::Tls, Transport::Tls)]
        .into_iter()
        .filter_map(|(row, transport)| arguments.row(row).then_some(transport))
        .collect();
    let echo = Echo::start();
    let mut servers = Vec::new();
    for &storage in &storages {
        servers.push(Rivals { storage, latchd: Latchd::start(storage), redis: Redis::start(storage).await });
    }
    let mut all = Vec::new();
    for &transport in &transports {
        for &clients in &arguments.clients {
            all.extend(storages.iter().map(|&storage| Series::new(storage, transport, clients)));
        }
    }
    for pass in 1..=arguments.passes {
        for &transport in &transports {
            for &clients in &arguments.clients {
                let label = format!("pass {pass}/{}, {}, {clients} clients", arguments.passes, transport.name());
                one_point(arguments, &label, &echo, &servers, (transport, clients), &mut all).await;
            }
        }
    }
    print(&all, &storages, &transports);
}

/// The echo and each server at one transport and number of clients, one right after the other.
async fn one_point(
    arguments: &Arguments,
    label: &str,
    echo: &Echo,
    servers: &[Rivals],
    (transport, clients): (Transport, usize),
    all: &mut [Series],
) {
    let window = Window {
        warmup: Duration::from_secs_f64(arguments.warmup),
        measured: Duration::from_secs_f64(arguments.seconds),
    };
    let target = Target { address: echo.address(transport), transport, dialect: Dialect::Echo, pid: echo.pid() };
    let bare = cycles(target, clients, window).await;
    progress(&format!("{label}: echo {:.0} cycles/s", bare.cycles_per_second));
    for Rivals { storage, latchd, redis } in servers {
        let target = Target {
            address: latchd.address(transport),
            transport,
            dialect: Dialect::SessionsV1,
            pid: latchd.server.pid(),
        };
        let measured = cycles(target, clients, window).await;
        let share = measured.cycles_per_second / bare.cycles_per_second;
        progress(&format!(
            "{label}: {} {:.0} cycles/s, {share:.2} of the echo",
            storage.name(),
            measured.cycles_per_second
        ));
        let series = all.iter_mut().find(|series| series.is(*storage, transport, clients));
        let series = series.expect("every point has a series");
        series.add(&measured, &bare);
        if let (Some(redis), Transport::Plain) = (redis, transport) {
            let target = Target { address: redis.address(), transport, dialect: Dialect::Redis, pid: redis.pid() };
            let measured = cycles(target, clients, window).await;
            progress(&format!("{label}: Redis {} {:.0} cycles/s", storage.name(), measured.cycles_per_second));
            series.redis_rates.push(measured.cycles_per_second);
        }
    }
}

impl Series {
    fn new(storage: Storage, transport: Transport, clients: usize) -> Self {
        let (rates, echo_rates, latencies, echo_latencies) = Default::default();
        let (processor_us, echo_processor_us, redis_rates) = Default::default();
        Self {
            storage,
            transport,
            clients,
            rates,
            echo_rates,
            latencies,
            echo_latencies,
            processor_us,
            echo_processor_us,
            redis_rates,
        }
    }

    fn is(&self, storage: Storage, transport: Transport, clients: usize) -> bool {
        self.storage == storage && self.transport == transport && self.clients == clients
    }

    fn add(&mut self, measured: &Measured, bare: &Measured) {
        self.rates.push(measured.cycles_per_second);
        self.latencies.push(measured.latency);
        self.echo_rates.push(bare.cycles_per_second);
        self.echo_latencies.push(bare.latency);
        self.processor_us.push(measured.processor_us);
        self.echo_processor_us.push(bare.processor_us);
    }

    fn cells(&self) -> Vec<String> {
        let shares = self.shares_of(&self.echo_rates);
        vec![
            self.clients.to_string(),
            rate(&self.echo_rates),
            milliseconds(&self.echo_latencies),
            rate(&self.rates),
            milliseconds(&self.latencies),
            format!("{:.2} ({:.0}%)", median(&shares), spread_percent(&shares)),
            self.verdict(),
            format!("{:.0} / {:.0}", median(&self.processor_us), median(&self.echo_processor_us)),
            self.redis_cell(),
        ]
    }
}

impl Series {
    /// Redis, and latchd as a share of it.
    fn redis_cell(&self) -> String {
        if self.redis_rates.is_empty() {
            return "-".to_owned();
        }
        format!("{} {:.2}", rate(&self.redis_rates), median(&self.shares_of(&self.redis_rates)))
    }

    fn shares_of(&self, others: &[f64]) -> Vec<f64> {
        self.rates.iter().zip(others).map(|(rate, other)| rate / other).collect()
    }

    /// In memory beside the echo, on disk beside Redis.
    fn verdict(&self) -> String {
        let (name, others, target) = match self.storage {
            Storage::Memory => {
                ("echo", &self.echo_rates, ECHO_TARGETS.iter().find(|(clients, _)| *clients == self.clients))
            }
            Storage::Durable => ("Redis", &self.redis_rates, Some(&(self.clients, REDIS_TARGET))),
        };
        match target.filter(|_| !others.is_empty()) {
            Some((_, target)) => {
                against(format!(">= {target:.2} of {name}"), median(&self.shares_of(others)) >= *target)
            }
            None => "-".to_owned(),
        }
    }
}

pub fn rate(rates: &[f64]) -> String {
    format!("{:.0} ({:.0}%)", median(rates), spread_percent(rates))
}

pub fn milliseconds(passes: &[Percentiles]) -> String {
    let of = Percentiles::medians(passes);
    format!("{:.2} / {:.2} / {:.2}", of.p50, of.p99, of.p999)
}

fn print(all: &[Series], storages: &[Storage], transports: &[Transport]) {
    for &storage in storages {
        for &transport in transports {
            let mut table = Table::new(&[
                "clients",
                "echo cycles/s",
                "p50 / p99 / p99.9 ms",
                "latchd cycles/s",
                "p50 / p99 / p99.9 ms",
                "of the echo",
                "target",
                "server / echo CPU us",
                "Redis cycles/s, latchd's share",
            ]);
            for series in all.iter().filter(|series| series.storage == storage && series.transport == transport) {
                table.row(series.cells());
            }
            table.print(&format!("Lock + unlock, {}, {}", storage.name(), transport.name()));
        }
    }
}
