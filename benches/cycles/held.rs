//! A table that holds a million locks: memory per lock, grants while a snapshot of it is built, expiry in one burst.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::arguments::{Arguments, Row};
use crate::probe::{Probe, grants};
use crate::report::{Table, against, progress};
use crate::servers::{Latchd, Storage, Transport};
use crate::session::{Key, Numbers, Session, name};

/// Holds are spread, because a session may have only so many (10,000 by default).
const HOLDS_PER_SESSION: usize = 7_500;
/// Sessions that work at the same time.
const WORKERS: usize = 32;
const LONG_LEASE_SECONDS: u32 = 3600;

const BYTES_PER_LOCK_TARGET: f64 = 420.0;
const SNAPSHOT_GRANT_TARGET_MS: f64 = 50.0;
const BURST_GRANT_TARGET_MS: f64 = 100.0;

/// Clients that write log while snapshots are awaited, and how long they do at most.
const WRITERS: usize = 4;
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(40);
/// Snapshots to see: the first may have begun before the measurement did.
const SNAPSHOTS: usize = 2;
/// Renewing all may take so many times as long as taking all did, and some time is left after that.
const RENEWALS_TO_GRANTS: u32 = 3;
const BEFORE_BURST: Duration = Duration::from_secs(10);
/// How long grants are watched after the moment when everything is due.
const AFTER_BURST: Duration = Duration::from_secs(10);

pub async fn run(arguments: &Arguments) {
    let mut table = Table::new(&["storage", "measured", "value", "target"]);
    for (row, storage) in [(Row::Memory, Storage::Memory), (Row::Durable, Storage::Durable)] {
        if arguments.row(row) {
            measure(storage, arguments.count, &mut table).await;
        }
    }
    table.print(&format!("{} locks with a lease and a 20-byte name, held at once", arguments.count));
}

/// One session's share of the held locks.
pub struct Share {
    session: Session,
    numbers: std::ops::Range<usize>,
    keys: Vec<Key>,
}

async fn measure(storage: Storage, count: usize, table: &mut Table) {
    let label = storage.name();
    let server = Latchd::start(storage);
    let mut shares = shares(&server, count).await;
    let before = server.resident_bytes();
    let began = Instant::now();
    shares = for_each(shares, fill).await;
    let filled_in = began.elapsed();
    progress(&format!("{label}: {count} locks in {:.1} s", filled_in.as_secs_f64()));
    let bytes = server.resident_bytes().saturating_sub(before) as f64 / count as f64;
    table.row(vec![
        label.to_owned(),
        "resident memory per held lock".to_owned(),
        format!("{bytes:.0} bytes"),
        against(format!("< {BYTES_PER_LOCK_TARGET} bytes"), bytes < BYTES_PER_LOCK_TARGET),
    ]);
    let quiet = Probe::start(&server).await.for_a_while(Duration::from_secs(3)).await;
    table.row(grants(label, "grants beside the held locks", &quiet, None));
    if let Some(data) = &server.data {
        let (snapshots, during) = while_snapshots_are_built(&server, data.path()).await;
        let what = format!("grants while {snapshots} snapshots were built");
        table.row(grants(label, &what, &during, Some(SNAPSHOT_GRANT_TARGET_MS)));
    }
    let what = "grants while all expire in one burst";
    table.row(match expiry_burst(&server, shares, filled_in).await {
        Some(burst) => grants(label, what, &burst, Some(BURST_GRANT_TARGET_MS)),
        None => vec![
            label.to_owned(),
            what.to_owned(),
            "not measured: the renewals were too slow".to_owned(),
            "-".to_owned(),
        ],
    });
}

pub async fn shares(server: &Latchd, count: usize) -> Vec<Share> {
    let mut shares = Vec::new();
    for first in (0..count).step_by(HOLDS_PER_SESSION) {
        let session = Session::open(server.address(Transport::Plain), Transport::Plain).await.expect("it connects");
        shares.push(Share { session, numbers: first..count.min(first + HOLDS_PER_SESSION), keys: Vec::new() });
    }
    shares
}

/// Runs the same work for every share, so many of them at a time.
pub async fn for_each<Work, Done>(shares: Vec<Share>, work: Work) -> Vec<Share>
where
    Work: Fn(Share) -> Done,
    Done: Future<Output = io::Result<Share>> + Send + 'static,
{
    let places = Arc::new(tokio::sync::Semaphore::new(WORKERS));
    let mut tasks = Vec::new();
    for share in shares {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore stays open");
        let future = work(share);
        tasks.push(tokio::spawn(async move {
            let done = future.await;
            drop(place);
            done
        }));
    }
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.expect("no worker panics").expect("every request is answered"));
    }
    done
}

pub async fn fill(mut share: Share) -> io::Result<Share> {
    for number in share.numbers.clone() {
        let name = String::from_utf8_lossy(&name("held", number as u64)).into_owned();
        let body = format!(r#"{{"name":"{name}","lock_timeout_seconds":{LONG_LEASE_SECONDS}}}"#);
        share.keys.push(share.session.lock_with(&body).await?);
    }
    Ok(share)
}

/// Gives every lock the rest of the time until one moment, waits for it, and watches the grants around it.
async fn expiry_burst(server: &Latchd, shares: Vec<Share>, filled_in: Duration) -> Option<Vec<Duration>> {
    let due = Instant::now() + filled_in * RENEWALS_TO_GRANTS + BEFORE_BURST;
    let mut shares = for_each(shares, |share| shorten(share, due)).await;
    if Instant::now() + BEFORE_BURST / 2 > due {
        return None;
    }
    tokio::time::sleep_until((due - Duration::from_secs(1)).into()).await;
    progress("all leases end in one second");
    let latencies = Probe::start(server).await.for_a_while(Duration::from_secs(1) + AFTER_BURST).await;
    let share = shares.first_mut().expect("there are locks");
    let free = name("held", share.numbers.start as u64);
    share.session.lock(&free).await.expect("an expired lock is free");
    Some(latencies)
}

async fn shorten(mut share: Share, due: Instant) -> io::Result<Share> {
    for (number, key) in share.numbers.clone().zip(share.keys.clone()) {
        let rest = due.saturating_duration_since(Instant::now());
        if rest < BEFORE_BURST / 2 {
            // Too late for one burst: the caller sees it by the clock too.
            break;
        }
        share.session.renew(&name("held", number as u64), &key, rest.as_secs_f64()).await?;
    }
    Ok(share)
}

/// Grants beside writers, until so many new snapshots lie in the data directory.
async fn while_snapshots_are_built(server: &Latchd, data: &Path) -> (usize, Vec<Duration>) {
    let probe = Probe::start(server).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for client in 0..WRITERS {
        let session = Session::open(server.address(Transport::Plain), Transport::Plain).await.expect("it connects");
        writers.push(tokio::spawn(write_log(session, client as u64, Arc::clone(&stop))));
    }
    let mut seen = snapshots(data);
    let mut count = 0;
    let deadline = Instant::now() + SNAPSHOT_PATIENCE;
    while count < SNAPSHOTS && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = snapshots(data);
        if now.iter().any(|(path, changed)| seen.get(path).is_none_or(|before| before < changed)) {
            count += 1;
        }
        seen = now;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("no writer panics").expect("every request is answered");
    }
    (count, probe.finish().await)
}

async fn write_log(mut session: Session, client: u64, stop: Arc<AtomicBool>) -> io::Result<()> {
    let mut numbers = Numbers::of_client(client);
    while !stop.load(Ordering::Relaxed) {
        let name = name("log", numbers.next());
        let key = session.lock(&name).await?;
        session.unlock(&name, &key).await?;
    }
    Ok(())
}

/// Finished snapshot files and when each was last written.
fn snapshots(folder: &Path) -> BTreeMap<std::path::PathBuf, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(snapshots(&path));
        } else if path.display().to_string().contains("snapshot") {
            // A file that was renamed meanwhile is seen next time.
            found.extend(entry.metadata().and_then(|metadata| metadata.modified()).map(|changed| (path, changed)));
        }
    }
    found
}
