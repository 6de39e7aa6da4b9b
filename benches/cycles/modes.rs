//! One name that all clients want, shared by a part of them; and free names, several taken at once.

use std::io;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::load::Window;
use crate::report::{Table, against, progress};
use crate::servers::{Latchd, Storage, Transport};
use crate::session::{Numbers, Session, name};
use crate::statistics::{Percentiles, median};
use crate::uncontended::{milliseconds, rate};

const CLIENTS: usize = 64;
/// How many of a hundred cycles share the lock.
const SHARED_PERCENT: [u64; 3] = [0, 90, 100];
const NAME_COUNTS: [usize; 3] = [1, 4, 16];
/// What a cycle of four names may cost, in cycles of one name.
const FOUR_NAMES_COST_MAX: f64 = 2.5;

/// What the clients repeat.
#[derive(Clone, Copy)]
enum Cycle {
    /// One contended name, shared in so many of a hundred cycles.
    Shared(u64),
    /// So many free names at once.
    Names(usize),
}

#[derive(Default)]
struct Series {
    rates: Vec<f64>,
    latencies: Vec<Percentiles>,
}

pub async fn run(arguments: &Arguments) {
    let server = Latchd::start(Storage::Memory);
    let cycles = SHARED_PERCENT.map(Cycle::Shared).into_iter().chain(NAME_COUNTS.map(Cycle::Names));
    let mut all: Vec<(Cycle, Series)> = cycles.map(|cycle| (cycle, Series::default())).collect();
    let window = Window {
        warmup: Duration::from_secs_f64(arguments.warmup),
        measured: Duration::from_secs_f64(arguments.seconds),
    };
    for pass in 1..=arguments.passes {
        for (cycle, series) in &mut all {
            one_pass(&server, *cycle, window, series).await;
            let rate = series.rates.last().copied().unwrap_or_default();
            progress(&format!("modes, pass {pass}/{}, {}: {rate:.0} cycles/s", arguments.passes, cycle.title()));
        }
    }
    print(&all);
}

impl Cycle {
    fn title(self) -> String {
        match self {
            Cycle::Shared(percent) => format!("one name, {percent} % shared"),
            Cycle::Names(1) => "1 free name".to_owned(),
            Cycle::Names(count) => format!("{count} free names at once"),
        }
    }

    /// The bodies of a lock and, behind the key, of its unlock.
    fn bodies(self, numbers: &mut Numbers) -> (String, String) {
        const TIMES: &str = r#""lock_timeout_seconds":60,"wait_timeout_seconds":30"#;
        match self {
            Cycle::Shared(percent) => {
                let mode = if numbers.next() % 100 < percent { "shared" } else { "exclusive" };
                (format!(r#"{{"name":"all","mode":"{mode}",{TIMES}}}"#), r#""name":"all""#.to_owned())
            }
            Cycle::Names(count) => {
                let names = (0..count).map(|_| String::from_utf8_lossy(&name("set", numbers.next())).into_owned());
                let list = names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(",");
                (format!(r#"{{"names":[{list}],{TIMES}}}"#), format!(r#""names":[{list}]"#))
            }
        }
    }
}

async fn one_pass(server: &Latchd, cycle: Cycle, window: Window, series: &mut Series) {
    let mut sessions = Vec::new();
    for _ in 0..CLIENTS {
        let address = server.address(Transport::Plain);
        sessions.push(Session::open(address, Transport::Plain).await.expect("every client connects"));
    }
    let start = Instant::now() + window.warmup;
    let end = start + window.measured;
    let clients = (0_u64..).zip(sessions);
    let tasks: Vec<_> = clients
        .map(|(client, session)| tokio::spawn(one_client(session, cycle, Numbers::of_client(client), start, end)))
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("no client panics").expect("every request is answered"));
    }
    series.rates.push(latencies.len() as f64 / window.measured.as_secs_f64());
    series.latencies.push(Percentiles::of(latencies));
}

/// The latencies of the cycles that ended within the window.
async fn one_client(
    mut session: Session,
    cycle: Cycle,
    mut numbers: Numbers,
    start: Instant,
    end: Instant,
) -> io::Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(4096);
    let mut began = Instant::now();
    while began < end {
        let (lock, unlock) = cycle.bodies(&mut numbers);
        let key = session.lock_with(&lock).await?;
        session.unlock_with(&format!(r#"{{"key":"{}",{unlock}}}"#, String::from_utf8_lossy(&key))).await?;
        let now = Instant::now();
        if began >= start && now <= end {
            latencies.push(now - began);
        }
        began = now;
    }
    Ok(latencies)
}

fn print(all: &[(Cycle, Series)]) {
    let single = all.iter().find(|(cycle, _)| matches!(cycle, Cycle::Names(1))).map(|(_, series)| &series.rates);
    let mut table = Table::new(&["what", "cycles/s", "p50 / p99 / p99.9 ms", "cost in cycles of 1 name", "target"]);
    for (cycle, series) in all {
        let costs = single.into_iter().flatten().zip(&series.rates).map(|(single, rate)| single / rate);
        let cost = median(&costs.collect::<Vec<_>>());
        let (cost, target) = match cycle {
            Cycle::Shared(_) => ("-".to_owned(), "-".to_owned()),
            Cycle::Names(4) => {
                (format!("{cost:.2}"), against(format!("< {FOUR_NAMES_COST_MAX}"), cost < FOUR_NAMES_COST_MAX))
            }
            Cycle::Names(_) => (format!("{cost:.2}"), "-".to_owned()),
        };
        table.row(vec![cycle.title(), rate(&series.rates), milliseconds(&series.latencies), cost, target]);
    }
    table.print(&format!("Modes and several names, {CLIENTS} clients, in memory, plaintext"));
}
