//! Ten thousand freezes: what they cost those whose locks are not frozen.

use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::pages::Asker;
use crate::probe::{Probe, grants};
use crate::report::{Table, progress};
use crate::servers::{Latchd, Storage};

/// Of names, and then as many of prefixes.
pub const FREEZES: usize = 10_000;
const PASSES: usize = 3;

pub async fn run(arguments: &Arguments) {
    let mut table = Table::new(&["beside", "measured", "value", "target"]);
    let length = Duration::from_secs_f64(arguments.seconds);
    let mut found = [Vec::new(), Vec::new(), Vec::new()];
    let servers = [None, Some("name"), Some("prefix")].map(|covers| (Latchd::start(Storage::Memory), covers));
    for (server, covers) in &servers {
        if let Some(covers) = covers {
            let began = Instant::now();
            freeze(server, covers, FREEZES).await;
            progress(&format!("{FREEZES} freezes of a {covers} in {:.1} s", began.elapsed().as_secs_f64()));
        }
    }
    for pass in 1..=PASSES {
        progress(&format!("pass {pass}/{PASSES}"));
        for ((server, _), latencies) in servers.iter().zip(&mut found) {
            latencies.extend(Probe::start(server).await.for_a_while(length).await);
        }
    }
    for (beside, latencies) in ["no freeze", "10,000 names", "10,000 prefixes"].iter().zip(&found) {
        table.row(grants(beside, "grants of other locks", latencies, None));
    }
    table.print("Grants beside freezes, in memory, one client");
}

/// Freezes names that begin as those of the probe do: each look for a freeze walks past many of them.
pub async fn freeze(server: &Latchd, covers: &str, count: usize) {
    let mut asker = Asker::connect(server).await;
    let body = format!(r#"{{"reason":"release 7","for_seconds":3600,"match":"{covers}"}}"#);
    for number in 0..count {
        // The last letter is none of a hexadecimal number, so that no name of the probe is frozen.
        let target = format!("prob{number:08x}x");
        let answer = asker.ask("PUT", &format!("/v1/freezes?target={target}"), &body).await;
        assert_eq!(answer.0, 200, "{}", String::from_utf8_lossy(&answer.1));
    }
}
