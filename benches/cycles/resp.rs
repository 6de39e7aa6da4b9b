//! The same lock over the Redis protocol: latchd, and Redis with the same durability.

use std::time::Duration;

use crate::arguments::{Arguments, Row};
use crate::load::{Dialect, Target, Window, cycles};
use crate::redis::Redis;
use crate::report::{Table, against, progress};
use crate::servers::{Latchd, Storage, Transport};
use crate::statistics::{Percentiles, median};
use crate::uncontended::{milliseconds, rate};

/// The number of clients at which latchd is to be ahead of Redis, both flushing.
const AHEAD_AT: usize = 64;

/// All passes of one number of clients.
#[derive(Default)]
struct Series {
    rates: Vec<f64>,
    latencies: Vec<Percentiles>,
    processor_us: Vec<f64>,
    redis_rates: Vec<f64>,
    redis_latencies: Vec<Percentiles>,
}

pub async fn run(arguments: &Arguments) {
    for (row, storage) in [(Row::Memory, Storage::Memory), (Row::Durable, Storage::Durable)] {
        if arguments.row(row) {
            one_storage(arguments, storage).await;
        }
    }
}

async fn one_storage(arguments: &Arguments, storage: Storage) {
    let latchd = Latchd::start(storage);
    let Some(redis) = Redis::start(storage).await else { return progress("Redis is not unpacked: run `make bench`") };
    let window = Window {
        warmup: Duration::from_secs_f64(arguments.warmup),
        measured: Duration::from_secs_f64(arguments.seconds),
    };
    let transport = Transport::Plain;
    let ours = Target { address: latchd.server.redis(), transport, dialect: Dialect::Redis, pid: latchd.server.pid() };
    let theirs = Target { address: redis.address(), transport, dialect: Dialect::Redis, pid: redis.pid() };
    let mut all: Vec<(usize, Series)> = arguments.clients.iter().map(|clients| (*clients, Series::default())).collect();
    for pass in 1..=arguments.passes {
        for (clients, series) in &mut all {
            let measured = cycles(ours, *clients, window).await;
            let rival = cycles(theirs, *clients, window).await;
            let (rate, other) = (measured.cycles_per_second, rival.cycles_per_second);
            progress(&format!("pass {pass}, {}, {clients} clients: {rate:.0}, Redis {other:.0}", storage.name()));
            series.rates.push(rate);
            series.latencies.push(measured.latency);
            series.processor_us.push(measured.processor_us);
            series.redis_rates.push(other);
            series.redis_latencies.push(rival.latency);
        }
    }
    print(&all, storage);
}

fn print(all: &[(usize, Series)], storage: Storage) {
    let columns = [
        "clients",
        "latchd cycles/s",
        "p50 / p99 / p99.9 ms",
        "CPU us",
        "Redis cycles/s",
        "p50 / p99 / p99.9 ms",
        "of Redis",
        "target",
    ];
    let mut table = Table::new(&columns);
    for (clients, series) in all {
        let shares: Vec<f64> = series.rates.iter().zip(&series.redis_rates).map(|(rate, other)| rate / other).collect();
        let share = median(&shares);
        let has_target = storage == Storage::Durable && *clients == AHEAD_AT;
        table.row(vec![
            clients.to_string(),
            rate(&series.rates),
            milliseconds(&series.latencies),
            format!("{:.0}", median(&series.processor_us)),
            rate(&series.redis_rates),
            milliseconds(&series.redis_latencies),
            format!("{share:.2}"),
            if has_target { against(">= 1.00".to_owned(), share >= 1.0) } else { "-".to_owned() },
        ]);
    }
    table.print(&format!("Lock + unlock over the Redis protocol, {}", storage.name()));
}
