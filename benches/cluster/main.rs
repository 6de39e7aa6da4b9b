//! `make bench-cluster`: three latchd nodes beside three etcd nodes, by the same client technology, in one run.
//!
//! Both flush every entry to disk, both use TLS for clients and peers. A cycle takes a free lock and gives it back:
//! `POST /v1/lock` and `/v1/unlock` here, the gRPC calls `v3lockpb.Lock/Lock` and `Unlock` there.

#![forbid(unsafe_code)]

mod arguments;
mod etcd;
mod grpc;
mod latchd;
mod load;
mod nodes;
#[path = "../cycles/report.rs"]
#[expect(dead_code, reason = "shared with the other benchmark, which uses all of it")]
mod report;
#[path = "../cycles/statistics.rs"]
#[expect(dead_code, reason = "shared with the other benchmark, which uses all of it")]
mod statistics;

use std::time::Duration;

use arguments::{Arguments, Which};
use clap::Parser;
use load::{Measured, Service, Through, measure};

/// As many as the machine that this is run on has cores.
const CLIENT_THREADS: usize = 2;

fn main() {
    let arguments = Arguments::parse();
    rustls::crypto::ring::default_provider().install_default().expect("no other provider is installed");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CLIENT_THREADS)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(compare(&arguments));
}

async fn compare(arguments: &Arguments) {
    report::machine();
    let window = (Duration::from_secs_f64(arguments.warmup), Duration::from_secs_f64(arguments.seconds));
    let mut table = report::Table::new(&[
        "clients",
        "through",
        "latchd cycles/s",
        "p99 ms",
        "etcd cycles/s",
        "p99 ms",
        "latchd / etcd",
    ]);
    // One at a time: an idle cluster still takes its heartbeats from the other's time.
    let wanted = |which| arguments.only.is_none_or(|only| only == which);
    let ours = match wanted(Which::Latchd) {
        true => Some(all(&latchd::Cluster::start().await, arguments, window).await),
        false => None,
    };
    let theirs = match wanted(Which::Etcd) {
        true => Some(all(&etcd::Cluster::start().await, arguments, window).await),
        false => None,
    };
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return };
    for ((clients, through, our), (.., their)) in ours.into_iter().zip(theirs) {
        table.row(vec![
            clients.to_string(),
            through.name().to_owned(),
            format!("{:.0}", our.cycles_per_second),
            format!("{:.1}", our.p99_ms),
            format!("{:.0}", their.cycles_per_second),
            format!("{:.1}", their.p99_ms),
            format!("{:.2}", our.cycles_per_second / their.cycles_per_second),
        ]);
    }
    table.print("Cycles of lock and unlock on three nodes, each entry flushed to disk");
}

async fn all(
    service: &impl Service,
    arguments: &Arguments,
    window: (Duration, Duration),
) -> Vec<(usize, Through, Measured)> {
    let mut rows = Vec::new();
    for &clients in &arguments.clients {
        for through in [Through::Leader, Through::All] {
            let measured = measure(service, clients, through, window).await;
            report::progress(&format!(
                "{}, {clients} clients through {}: {:.0} cycles/s, p99 {:.1} ms",
                service.name(),
                through.name(),
                measured.cycles_per_second,
                measured.p99_ms
            ));
            rows.push((clients, through, measured));
        }
    }
    rows
}
