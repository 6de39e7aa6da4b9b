//! What the clients of a simulated run do: cycles on names that are checked in full, leases that run out,
//! conversions, and queues.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::call_log::CallLog;
use super::client::{Client, Hold};
use super::freezer;
use super::world::World;
use crate::cluster::choices;
use crate::cluster::target::Target;
use crate::cluster::tries::Wanted;
use crate::proof::random::Random;

/// Clients besides those of the queue.
const CLIENTS: u64 = 10;
/// Those who wait in the queue of one name, one after another.
const QUEUE: u64 = 3;
/// Longer than any run.
const WHOLE_RUN_MS: u64 = 36_000_000;
/// Names of locks with short leases; few, so that clients meet.
const LEASED: usize = 4;
/// Uses of a name before a new one takes its place: long histories take too long to check.
const USES_PER_NAME: u32 = 24;
const BETWEEN_MS: usize = 300;

type Names = Arc<Mutex<choices::Names>>;

/// Sets all clients to work until the call log is closed; each ends when it has given everything back.
pub fn begin(world: &World, call_log: &Arc<CallLog>, nodes: &[u64], random: &mut Random) -> Vec<JoinHandle<()>> {
    let names: Names = Arc::default();
    let client = |number, random: &mut Random| Client::new(number, call_log, &world.endpoints, nodes, random.fork());
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|number| world.spawn(cycles(client(number, random), names.clone()))).collect();
    let waiting = (0..QUEUE).map(|place| client(1001 + place, random)).collect();
    clients.push(world.spawn(freezer::freezes(client(1100, random))));
    clients.push(world.spawn(queues(client(1000, random), waiting)));
    clients
}

async fn cycles(mut client: Client, names: Names) {
    while !client.call_log.is_over() {
        match client.random.below(10) {
            0..=5 => checked(&mut client, &names).await,
            6..=8 => leased(&mut client).await,
            _ => client.move_on(),
        }
        sleep(Duration::from_millis(client.random.below(BETWEEN_MS) as u64)).await;
    }
    client.abandon().await;
}

/// What is checked in full: its lease outlives the run.
async fn checked(client: &mut Client, names: &Names) {
    let target = names.lock().expect("no client panics").choose(&mut client.random, USES_PER_NAME);
    let wait_ms = [None, None, Some(100), Some(600)][client.random.below(4)];
    if client.random.below(4) == 0 {
        client.read(&target.name).await;
    }
    let Some(hold) = take(client, &target, WHOLE_RUN_MS, wait_ms).await else { return };
    match client.random.below(6) {
        0 => client.renew(&hold, WHOLE_RUN_MS).await,
        1 => drop(client.read(&target.name).await),
        _ => {}
    }
    if let Some(hold) = converted(client, hold).await {
        client.release(&hold).await;
    }
}

/// With a short lease, which is given back, renewed, converted, or left to run out.
async fn leased(client: &mut Client) {
    let target = choices::leased(&mut client.random, LEASED);
    let lease_ms = 200 + client.random.below(600) as u64;
    let Some(hold) = take(client, &target, lease_ms, Some(2500)).await else { return };
    match client.random.below(5) {
        0 => client.release(&hold).await,
        1 => {
            sleep(Duration::from_millis(lease_ms / 2)).await;
            client.renew(&hold, lease_ms).await;
        }
        2 => {
            sleep(Duration::from_millis(lease_ms * 9 / 10)).await;
            client.read(&target.name).await;
        }
        3 => drop(converted(client, hold).await),
        _ => {}
    }
}

/// Converts a hold, perhaps; and perhaps back. `None` if it is not known what became of it.
async fn converted(client: &mut Client, mut hold: Hold) -> Option<Hold> {
    while let Some((to, wait_ms)) = choices::conversion(&mut client.random, &hold.target) {
        hold = client.convert(&hold, to, wait_ms).await?;
    }
    Some(hold)
}

async fn take(client: &mut Client, target: &Target, lease_ms: u64, wait_ms: Option<u64>) -> Option<Hold> {
    let keyed = client.random.below(2) == 0;
    let patience = Duration::from_millis([300, 4000][client.random.below(2)] + wait_ms.unwrap_or(0));
    let id = client.call_log.number();
    client.acquire(target.clone(), Wanted { lease_ms, wait_ms, keyed, patience }, id).await
}

/// Builds a queue of clients one by one, lets it run down, and begins anew.
async fn queues(mut first: Client, mut waiting: Vec<Client>) {
    let mut round = 0;
    while !first.call_log.is_over() {
        round += 1;
        waiting = queue(&mut first, waiting, &format!("fifo-{round}")).await;
        sleep(Duration::from_millis(100)).await;
    }
    first.abandon().await;
}

async fn queue(first: &mut Client, waiting: Vec<Client>, name: &str) -> Vec<Client> {
    let keyed = |patience| Wanted { lease_ms: WHOLE_RUN_MS, wait_ms: Some(20_000), keyed: true, patience };
    let id = first.call_log.number();
    let opening = choices::opening(&mut first.random, name);
    let Some(hold) = first.acquire(opening.clone(), keyed(Duration::from_secs(5)), id).await else { return waiting };
    let (mut asked, mut left) = (Vec::new(), Vec::new());
    let mut goes_on = true;
    for (place, mut client) in (1..).zip(waiting) {
        if !goes_on {
            left.push(client);
            continue;
        }
        let id = first.call_log.number();
        // Some give a request up and ask again under its key: that must not cost the place either.
        let patience = Duration::from_millis([3000, 25_000][client.random.below(2)]);
        let target = choices::queued(&mut client.random, &opening, place);
        asked.push(tokio::spawn(async move {
            if let Some(hold) = client.acquire(target, keyed(patience), id).await {
                client.release(&hold).await;
            }
            client.abandon().await;
            client
        }));
        goes_on = sees_queue_of(first, name, place).await;
        if goes_on {
            first.call_log.queued(id);
        }
    }
    if let Some(hold) = converted(first, hold).await {
        first.release(&hold).await;
    }
    for client in asked {
        left.extend(client.await);
    }
    left
}

/// Waits until so many wait; false when that takes too long to be worth it.
async fn sees_queue_of(client: &mut Client, name: &str, length: u64) -> bool {
    for _ in 0..60 {
        match client.read(name).await {
            Some((Some(_), waiters)) if waiters >= length => return true,
            // Nobody can come into a queue that is not there.
            Some((None, _)) => return false,
            _ => sleep(Duration::from_millis(40)).await,
        }
    }
    false
}
