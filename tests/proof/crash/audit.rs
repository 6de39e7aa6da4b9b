//! `kill -9` while an operator forces releases: each that was answered has both its lines, and none was carried out without one.

use super::calls::API_KEY;
use crate::support::audit::Trail;
use crate::support::certificate::scratch_directory;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const ROUNDS: usize = 4;
const LOCKS: usize = 400;

/// Locks that are held, each with its key.
fn hold(server: &Server, round: usize) -> Vec<(String, String)> {
    let mut client = Client::plain(server).with_header("X-API-Key", API_KEY);
    let take = |number: usize| {
        let name = format!("lock-{round}-{number}");
        let taken = client.send("GET", &format!("/getlock?lockname={name}&lifetime=3600"), b"").json();
        (name, taken["sessiontoken"].as_str().expect("a token").to_owned())
    };
    (0..LOCKS).map(take).collect()
}

/// Forces the release of one after the other, until an answer stays away; the names of those that were answered, which are
/// counted too.
fn force(mut client: Client, holds: &[(String, String)], count: &AtomicUsize) -> BTreeSet<String> {
    let mut answered = BTreeSet::new();
    for (name, key) in holds {
        match client.try_send("DELETE", &format!("/v1/locks/{name}/holds/{key}?reason=crash"), b"") {
            Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
            Err(_) => break,
        }
        answered.insert(name.clone());
        count.fetch_add(1, Ordering::Relaxed);
    }
    answered
}

fn locks_at(lines: &[Value], stage: &str) -> BTreeSet<String> {
    let of_stage = lines.iter().filter(|line| line["stage"] == stage);
    of_stage.map(|line| line["target"]["lock"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn answered_force_releases_have_their_lines_after_kill_minus_nine() {
    let trail = Trail::new();
    let data = tempfile::tempdir_in(scratch_directory()).expect("a directory under target/ can be made");
    let configuration = trail.configuration("refuse", "64MiB");
    let mut server = Spec::durable(data.path()).api_key(API_KEY).configuration(configuration).start();
    let mut answered = BTreeSet::new();
    for round in 0..ROUNDS {
        let holds = &hold(&server, round);
        let client = Client::plain(&server).with_header("X-API-Key", API_KEY);
        let count = &AtomicUsize::new(0);
        let forced = std::thread::scope(|scope| {
            let forcing = scope.spawn(move || force(client, holds, count));
            while count.load(Ordering::Relaxed) < 20 * (round + 1) && !forcing.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.kill();
            forcing.join().expect("it does not panic")
        });
        assert!(!forced.is_empty() && forced.len() < LOCKS, "{} of {LOCKS} before the crash", forced.len());
        server = server.start_again();
        let lines = trail.lines();
        let (intents, outcomes) = (locks_at(&lines, "intent"), locks_at(&lines, "outcome"));
        assert_eq!(forced.difference(&outcomes).collect::<Vec<_>>(), Vec::<&String>::new(), "round {round}: answered");
        let mut admin = Client::plain(&server).with_header("X-API-Key", API_KEY);
        for (name, _) in holds {
            let is_free = admin.get(&format!("/v1/locks/{name}")).status == 404;
            assert!(!is_free || intents.contains(name), "round {round}: {name} has ended without a line");
            assert!(is_free || !outcomes.contains(name), "round {round}: {name} is said to have ended");
        }
        answered.extend(forced);
    }
    println!("kill -9: {ROUNDS} rounds, {} forced releases compared with their lines", answered.len());
}
