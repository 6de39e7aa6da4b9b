//! What a million cycles leave behind: the size of the data directory, and how long the start after them takes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::arguments::{Arguments, Row};
use crate::report::{Table, against, progress};
use crate::servers::{Latchd, Storage, Transport};
use crate::session::{Numbers, Session, name};

const CLIENTS: usize = 64;
const MEBIBYTE: f64 = 1024.0 * 1024.0;
const DIRECTORY_TARGET_MIB: f64 = 64.0;
const RESTART_TARGET_SECONDS: f64 = 2.0;
const FIRST_START_TARGET_SECONDS: f64 = 0.5;

pub async fn run(arguments: &Arguments) {
    if !arguments.row(Row::Durable) {
        return;
    }
    let began = Instant::now();
    let server = Latchd::start(Storage::Durable);
    let fresh = first_grant(&server, began).await;
    let began = Instant::now();
    cycles(&server, arguments.count).await;
    progress(&format!("{} durable cycles in {:.1} s", arguments.count, began.elapsed().as_secs_f64()));
    let Latchd { server, data } = server;
    let size = bytes_in(data.as_ref().expect("it is durable").path()) as f64 / MEBIBYTE;
    let began = Instant::now();
    let server = Latchd { server: server.kill_and_restart(), data };
    let again = first_grant(&server, began).await;
    let mut table = Table::new(&["measured", "value", "target"]);
    let mut row = |what: &str, value: f64, unit: &str, target: f64| {
        let verdict = against(format!("< {target} {unit}"), value < target);
        table.row(vec![what.to_owned(), format!("{value:.2} {unit}"), verdict]);
    };
    row("first grant after the first start", fresh, "s", FIRST_START_TARGET_SECONDS);
    row("data directory after the cycles", size, "MiB", DIRECTORY_TARGET_MIB);
    row("first grant after kill -9 and start", again, "s", RESTART_TARGET_SECONDS);
    table.print(&format!("What {} durable lock + unlock cycles leave behind", arguments.count));
}

/// Seconds from the start of the process to a grant.
async fn first_grant(server: &Latchd, began: Instant) -> f64 {
    let mut session = Session::open(server.address(Transport::Plain), Transport::Plain).await.expect("it connects");
    let name = name("once", 0);
    let key = session.lock(&name).await.expect("a free lock is granted");
    let seconds = began.elapsed().as_secs_f64();
    session.unlock(&name, &key).await.expect("a held lock is released");
    seconds
}

async fn cycles(server: &Latchd, count: usize) {
    let left = Arc::new(AtomicUsize::new(count));
    let mut tasks = Vec::new();
    for client in 0..CLIENTS {
        let session = Session::open(server.address(Transport::Plain), Transport::Plain).await.expect("it connects");
        tasks.push(tokio::spawn(one_client(session, client as u64, Arc::clone(&left))));
    }
    for task in tasks {
        task.await.expect("no client panics").expect("every request is answered");
    }
}

async fn one_client(mut session: Session, client: u64, left: Arc<AtomicUsize>) -> io::Result<()> {
    let mut numbers = Numbers::of_client(client);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok() {
        let name = name("past", numbers.next());
        let key = session.lock(&name).await?;
        session.unlock(&name, &key).await?;
    }
    Ok(())
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("the data directory can be read");
    entries
        .map(|entry| {
            let path = entry.expect("the data directory can be read").path();
            if path.is_dir() { bytes_in(&path) } else { path.metadata().map_or(0, |metadata| metadata.len()) }
        })
        .sum()
}
