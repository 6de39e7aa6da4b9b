//! The closed loop: each client sends its next request when the answer to the last one is there.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ldlm::Ldlm;
use crate::redis;
use crate::servers::Transport;
use crate::session::{NAME_BYTES, Numbers, Session, name};
use crate::statistics::Percentiles;

/// Whom the clients talk to.
#[derive(Clone, Copy)]
pub struct Target {
    pub address: SocketAddr,
    pub transport: Transport,
    pub dialect: Dialect,
    /// The process that answers.
    pub pid: u32,
}

/// What the clients speak.
#[derive(Clone, Copy)]
pub enum Dialect {
    /// Sessions v1, with a session that was never opened.
    Echo,
    SessionsV1,
    /// LDLM's service over gRPC; the session is the connection.
    Ldlm,
    Redis,
}

/// How long one measurement lasts.
#[derive(Clone, Copy)]
pub struct Window {
    pub warmup: Duration,
    pub measured: Duration,
}

/// What one measurement gave.
pub struct Measured {
    pub cycles_per_second: f64,
    pub latency: Percentiles,
    /// Microseconds of processor time that the server took for each cycle: comparable also on a busy machine.
    pub processor_us: f64,
}

/// Runs lock + unlock cycles of random names from so many clients.
pub async fn cycles(target: Target, clients: usize, window: Window) -> Measured {
    let mut sessions = Vec::new();
    for _ in 0..clients {
        sessions.push(Client::connect(target).await.expect("every client connects"));
    }
    let start = Instant::now() + window.warmup;
    let end = start + window.measured;
    let tasks: Vec<_> = (0_u64..)
        .zip(sessions)
        .map(|(client, session)| tokio::spawn(one_client(session, Numbers::of_client(client), start, end)))
        .collect();
    tokio::time::sleep_until(start.into()).await;
    let before = processor_time(target.pid);
    tokio::time::sleep_until(end.into()).await;
    let used = processor_time(target.pid) - before;
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.expect("no client panics").expect("every request is answered"));
    }
    Measured {
        cycles_per_second: latencies.len() as f64 / window.measured.as_secs_f64(),
        processor_us: used.as_secs_f64() * 1e6 / latencies.len().max(1) as f64,
        latency: Percentiles::of(latencies),
    }
}

/// What a process has used of the processors so far, in user and kernel mode.
pub fn processor_time(pid: u32) -> Duration {
    /// Linux reports CPU time in hundredths of a second on every architecture.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the server runs");
    // The name of the program, in parentheses, may hold spaces; user and system time are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(") ").expect("the kernel writes the name in parentheses");
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u32>().expect("a number of ticks"));
    ticks.sum::<u32>() * TICK
}

enum Client {
    Http(Session),
    Grpc(Ldlm),
    Redis(redis::Client),
}

impl Client {
    async fn connect(target: Target) -> io::Result<Client> {
        Ok(match target.dialect {
            Dialect::Echo => Client::Http(Session::pretend(target.address, target.transport).await?),
            Dialect::SessionsV1 => Client::Http(Session::open(target.address, target.transport).await?),
            Dialect::Ldlm => Client::Grpc(Ldlm::connect(target.address, target.transport).await?),
            Dialect::Redis => Client::Redis(redis::Client::connect(target.address).await?),
        })
    }

    async fn cycle(&mut self, name: &[u8; NAME_BYTES]) -> io::Result<()> {
        match self {
            Client::Http(session) => {
                let key = session.lock(name).await?;
                session.unlock(name, &key).await
            }
            Client::Grpc(client) => {
                let key = client.try_lock(name).await?;
                client.unlock(name, &key).await
            }
            Client::Redis(client) => client.cycle(name).await,
        }
    }
}

/// The latencies of the cycles that ended within the window.
async fn one_client(
    mut client: Client,
    mut numbers: Numbers,
    start: Instant,
    end: Instant,
) -> io::Result<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(4096);
    let mut began = Instant::now();
    while began < end {
        client.cycle(&name("free", numbers.next())).await?;
        let now = Instant::now();
        if began >= start && now <= end {
            latencies.push(now - began);
        }
        began = now;
    }
    Ok(latencies)
}
