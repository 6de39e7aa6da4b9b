//! `make bench`: how fast latchd answers, beside a bare HTTP echo and Redis measured by the same client in the same run.
//!
//! Each part is a module: uncontended cycles, the same over the Redis protocol and over gRPC, modes and several names, hand-off of a contended lock, a table that holds a
//! million locks, ten thousand freezes, the console over a hundred thousand locks, what many cycles
//! leave behind, and the lock table alone.
//! Every server runs in a process of its own; this binary is the load generator and, as `echo`, the bare server.

#![forbid(unsafe_code)]

mod apply;
mod arguments;
mod echo;
mod freezes;
mod grpc;
mod handoff;
mod held;
mod history;
mod http2;
mod ldlm;
mod load;
mod modes;
mod pages;
mod probe;
mod redis;
mod report;
mod resp;
mod servers;
mod session;
mod statistics;
#[path = "../../tests/support/mod.rs"]
mod support;
mod uncontended;
mod wire;

use arguments::{Arguments, Mode, Part};
use clap::Parser;

/// As many as the machine that the targets are for has cores.
const CLIENT_THREADS: usize = 2;

fn main() {
    let arguments = Arguments::parse();
    rustls::crypto::ring::default_provider().install_default().expect("no other provider is installed");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CLIENT_THREADS)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    match &arguments.mode {
        Some(Mode::Echo { certificate, key }) => runtime.block_on(echo::run(certificate, key)),
        None => runtime.block_on(measure(&arguments)),
    }
}

async fn measure(arguments: &Arguments) {
    report::machine();
    if arguments.part(Part::Cycles) {
        uncontended::run(arguments).await;
    }
    if arguments.part(Part::Redis) {
        resp::run(arguments).await;
    }
    if arguments.part(Part::Grpc) {
        grpc::run(arguments).await;
    }
    if arguments.part(Part::Modes) {
        modes::run(arguments).await;
    }
    if arguments.part(Part::Handoff) {
        handoff::run(arguments).await;
    }
    if arguments.part(Part::Held) {
        held::run(arguments).await;
    }
    if arguments.part(Part::Freezes) {
        freezes::run(arguments).await;
    }
    if arguments.part(Part::Console) {
        pages::run(arguments).await;
    }
    if arguments.part(Part::History) {
        history::run(arguments).await;
    }
    if arguments.part(Part::Apply) {
        apply::run(arguments);
    }
}
