//! TryLock and Unlock over LDLM's gRPC service, beside lock and unlock over HTTP at the same server.

use std::time::Duration;

use crate::arguments::{Arguments, Row};
use crate::load::{Dialect, Measured, Target, Window, cycles};
use crate::report::{Table, progress};
use crate::servers::{Latchd, Storage, Transport};
use crate::statistics::{median, spread_percent};
use crate::uncontended::{milliseconds, rate};

const CONNECTIONS: usize = 64;

/// All passes of one row.
struct Series {
    transport: Transport,
    http: Vec<Measured>,
    grpc: Vec<Measured>,
}

pub async fn run(arguments: &Arguments) {
    let storages = [(Row::Memory, Storage::Memory), (Row::Durable, Storage::Durable)];
    let transports = [(Row::Plain, Transport::Plain), (Row::Tls, Transport::Tls)];
    for (_, storage) in storages.into_iter().filter(|(row, _)| arguments.row(*row)) {
        let server = Latchd::start(storage);
        let chosen = transports.into_iter().filter(|(row, _)| arguments.row(*row));
        let mut all: Vec<Series> =
            chosen.map(|(_, transport)| Series { transport, http: Vec::new(), grpc: Vec::new() }).collect();
        for pass in 1..=arguments.passes {
            for series in &mut all {
                one_pass(arguments, pass, storage, &server, series).await;
            }
        }
        print(storage, &all);
    }
}

/// Both dialects, one right after the other.
async fn one_pass(arguments: &Arguments, pass: usize, storage: Storage, server: &Latchd, series: &mut Series) {
    let transport = series.transport;
    let window = Window {
        warmup: Duration::from_secs_f64(arguments.warmup),
        measured: Duration::from_secs_f64(arguments.seconds),
    };
    let target = |dialect| Target { address: server.address(transport), transport, dialect, pid: server.server.pid() };
    let http = cycles(target(Dialect::SessionsV1), CONNECTIONS, window).await;
    let grpc = cycles(target(Dialect::Ldlm), CONNECTIONS, window).await;
    progress(&format!(
        "gRPC, pass {pass}/{}, {}, {}: {:.0} cycles/s, {:.0} over HTTP",
        arguments.passes,
        storage.name(),
        transport.name(),
        grpc.cycles_per_second,
        http.cycles_per_second
    ));
    series.http.push(http);
    series.grpc.push(grpc);
}

fn print(storage: Storage, all: &[Series]) {
    let mut table = Table::new(&[
        "transport",
        "HTTP cycles/s",
        "p50 / p99 / p99.9 ms",
        "gRPC cycles/s",
        "p50 / p99 / p99.9 ms",
        "of HTTP",
        "gRPC / HTTP server CPU us",
    ]);
    for series in all {
        let rates = |passes: &[Measured]| passes.iter().map(|pass| pass.cycles_per_second).collect::<Vec<_>>();
        let latencies = |passes: &[Measured]| passes.iter().map(|pass| pass.latency).collect::<Vec<_>>();
        let processor = |passes: &[Measured]| median(&passes.iter().map(|pass| pass.processor_us).collect::<Vec<_>>());
        let (http, grpc) = (rates(&series.http), rates(&series.grpc));
        let shares: Vec<f64> = grpc.iter().zip(&http).map(|(grpc, http)| grpc / http).collect();
        table.row(vec![
            series.transport.name().to_owned(),
            rate(&http),
            milliseconds(&latencies(&series.http)),
            rate(&grpc),
            milliseconds(&latencies(&series.grpc)),
            format!("{:.2} ({:.0}%)", median(&shares), spread_percent(&shares)),
            format!("{:.0} / {:.0}", processor(&series.grpc), processor(&series.http)),
        ]);
    }
    table.print(&format!("TryLock + Unlock over gRPC beside HTTP, {CONNECTIONS} connections, {}", storage.name()));
}
