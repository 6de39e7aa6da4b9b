//! All nodes have the same state: their backups, each taken behind a read barrier, are equal byte for byte.

use std::time::{Duration, Instant};

use super::fleet::Fleet;
use super::wire::{Ask, Wire};

/// Time in the state moves on once a second while leases run, so that backups are equal between two ticks only.
const WITHIN: Duration = Duration::from_secs(15);
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// What is wrong if the nodes do not come to the same state.
pub fn diverged(fleet: &Fleet) -> Option<String> {
    let began = Instant::now();
    loop {
        let backups: Vec<(u64, Result<Vec<u8>, String>)> = std::thread::scope(|scope| {
            let asked: Vec<_> = fleet.addresses.all().into_iter().collect();
            let asked: Vec<_> = asked.into_iter().map(|(id, at)| (id, scope.spawn(move || backup(at)))).collect();
            asked.into_iter().map(|(id, asked)| (id, asked.join().expect("it does not panic"))).collect()
        });
        let first = &backups[0].1;
        if first.is_ok() && backups.iter().all(|(_, backup)| backup == first) {
            return None;
        }
        if began.elapsed() > WITHIN {
            let told = backups.iter().map(|(id, backup)| match backup {
                Ok(bytes) => format!("node {id}: {} bytes, checksum {:08x}", bytes.len(), crc32fast::hash(bytes)),
                Err(error) => format!("node {id}: {error}"),
            });
            return Some(format!("the nodes differ: {}", told.collect::<Vec<_>>().join("; ")));
        }
        std::thread::sleep(Duration::from_millis(150));
    }
}

fn backup(at: std::net::SocketAddr) -> Result<Vec<u8>, String> {
    let answer = Wire::new(at).send(&Ask::get("/v1/backup"), ASK_WITHIN).map_err(|silence| silence.to_string())?;
    if answer.status == 200 { Ok(answer.body) } else { Err(format!("{} {}", answer.status, answer.text())) }
}
