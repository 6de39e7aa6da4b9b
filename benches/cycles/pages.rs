//! The console's page of locks over a hundred thousand of them, as a browser asks for it.

use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::freezes::{FREEZES, freeze};
use crate::held::{Share, fill, for_each, shares};
use crate::probe::Probe;
use crate::report::{Table, against, progress};
use crate::servers::{API_KEY, Latchd, Storage, Transport};
use crate::session::{Session, name};
use crate::statistics::Percentiles;
use crate::wire::Wire;

const LOCKS: usize = 100_000;
/// Locks that are waited for, and how many wait for each.
const CONTENDED: usize = 100;
const WAITERS: usize = 3;
const ROUNDS: usize = 10;
const TARGET_MS: f64 = 1000.0;

const PAGES: [(&str, &str); 12] = [
    ("first page, contended first", "/"),
    ("by name", "/?sort=name"),
    ("by name, from the middle", "/?sort=name&after=held000000000000c350"),
    ("held for longest", "/?sort=age"),
    ("ending soonest", "/?sort=end"),
    ("most waiting", "/?sort=waiting"),
    ("most waiting, the last page", "/?sort=waiting&after=held0000000000018600&at=18446744073709551615"),
    ("held", "/?state=held"),
    ("contended", "/?state=contended"),
    ("free at this moment: none", "/?state=free"),
    ("a part that one name has", "/?has=1869f"),
    ("a part that no name has, by age", "/?has=nothing&sort=age"),
];

pub async fn run(_: &Arguments) {
    let server = Latchd::start(Storage::Memory);
    let began = Instant::now();
    let shares = for_each(shares(&server, LOCKS).await, fill).await;
    progress(&format!("{LOCKS} locks in {:.1} s", began.elapsed().as_secs_f64()));
    let waiters = wait_for(&server, &shares).await;
    let mut table = Table::new(&["page", "median ms", "longest ms", "target"]);
    for (what, target) in PAGES {
        table.row(measured(&server, what, target).await);
    }
    freeze(&server, "prefix", FREEZES - 1).await;
    freeze_all_held(&server).await;
    table.row(measured(&server, "first page, each lock frozen, 10,000 other freezes", "/").await);
    table.row(measured(&server, "the page of freezes", "/ui/freezes").await);
    table.print(&format!("Pages of the console over {LOCKS} held locks, {CONTENDED} of them waited for"));
    beside(&server).await;
    drop(waiters);
}

/// The same pages all the time, beside one client that takes locks.
async fn beside(server: &Latchd) {
    let probe = Probe::start(server).await;
    let quiet = probe.for_a_while(Duration::from_secs(2)).await;
    let probe = Probe::start(server).await;
    let mut asker = Asker::connect(server).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        asker.page("/?sort=age").await;
    }
    let busy = probe.finish().await;
    let mut table = Table::new(&["grants", "value"]);
    for (what, latencies) in [("without pages", quiet), ("beside pages in another order, one after the other", busy)] {
        let of = Percentiles::of(latencies);
        table.row(vec![what.to_owned(), format!("p50 {:.2} ms, p99 {:.2}, longest {:.1}", of.p50, of.p99, of.max)]);
    }
    table.print("What the console costs others");
}

async fn freeze_all_held(server: &Latchd) {
    let body = r#"{"reason":"release 7 goes out","for_seconds":3600,"match":"prefix"}"#;
    let answer = Asker::connect(server).await.ask("PUT", "/v1/freezes?target=held", body).await;
    assert_eq!(answer.0, 200, "{}", String::from_utf8_lossy(&answer.1));
}

async fn measured(server: &Latchd, what: &str, target: &str) -> Vec<String> {
    let mut asker = Asker::connect(server).await;
    let mut latencies = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        asker.page(target).await;
        latencies.push(began.elapsed());
    }
    let of = Percentiles::of(latencies);
    let verdict = against(format!("< {TARGET_MS} ms"), of.max < TARGET_MS);
    vec![what.to_owned(), format!("{:.1}", of.p50), format!("{:.1}", of.max), verdict]
}

/// Requests that wait for the first locks, until the service has all of them in its queues.
async fn wait_for(server: &Latchd, shares: &[Share]) -> Vec<tokio::task::JoinHandle<()>> {
    assert!(!shares.is_empty(), "there are locks");
    let mut waiters = Vec::new();
    for number in 0..CONTENDED * WAITERS {
        let mut session = Session::open(server.address(Transport::Plain), Transport::Plain).await.expect("it connects");
        let name = String::from_utf8_lossy(&name("held", (number / WAITERS) as u64)).into_owned();
        let body = format!(r#"{{"name":"{name}","lock_timeout_seconds":600,"wait_timeout_seconds":600}}"#);
        waiters.push(tokio::spawn(async move { drop(session.lock_with(&body).await) }));
    }
    let mut asker = Asker::connect(server).await;
    let all = format!("latchd_waiters {}\n", CONTENDED * WAITERS);
    while !String::from_utf8_lossy(&asker.page("/metrics").await).contains(&all) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    waiters
}

/// A connection for requests of any kind.
pub struct Asker(Wire);

impl Asker {
    pub async fn connect(server: &Latchd) -> Self {
        Self(Wire::connect(server.address(Transport::Plain), Transport::Plain).await.expect("it connects"))
    }

    /// The status and the body.
    pub async fn ask(&mut self, method: &str, target: &str, body: &str) -> (u16, Vec<u8>) {
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {API_KEY}\r\nAccept: text/html\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.0.exchange(request.as_bytes()).await.expect("an answer");
        (answer.status, answer.body.to_vec())
    }

    pub async fn page(&mut self, target: &str) -> Vec<u8> {
        let (status, body) = self.ask("GET", target, "").await;
        assert_eq!(status, 200, "{target}: {}", String::from_utf8_lossy(&body));
        body
    }
}
