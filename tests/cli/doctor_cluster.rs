//! `latchd doctor` on three nodes: all well, one that hangs, one whose clock is wrong, and the quorum lost.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::doctor::{assert_found, doctor, findings};
use super::lock::job::Ended;
use crate::support::machine::{Machine, PATIENCE};

/// The third one runs under libfaketime where `AHEAD` says by how much.
const NODES: &str = r#"
export FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1
PEERS=1=https://127.0.0.1:9441,2=https://127.0.0.1:9442,3=https://127.0.0.1:9443
node() {
  "${@:2}" latchd serve --node-id $1 --listen http://127.0.0.1:844$1 --data-dir data$1 \
    --peer-listen https://127.0.0.1:944$1 --peers $PEERS --peer-ca peers/ca.pem --peer-cert peers/node$1.pem \
    --peer-key peers/node$1.key >> node$1.log 2>&1 &
}
"#;
const START: &str = r#"
latchd certs init --dir peers --nodes 1=127.0.0.1,2=127.0.0.1,3=127.0.0.1 > certs.log
for N in 1 2 3; do node $N env; done
for N in 1 2 3; do until curl -sf http://127.0.0.1:844$N/readyz > /dev/null; do sleep 0.1; done; done
"#;
const AHEAD: &str = r#"
node 3 faketime -m -f +60s
until curl -sf http://127.0.0.1:8443/readyz > /dev/null; do sleep 0.1; done
"#;
/// Each call that a node does not answer, and its repetition.
const BOUND: Duration = Duration::from_secs(20);

struct Cluster(Machine);

impl Cluster {
    fn doctor(&self) -> (Ended, Vec<String>) {
        let urls = [1, 2, 3].map(|node| self.url(node)).join(",");
        let begun = Instant::now();
        let ended = doctor(&["--url", &urls, "--output", "json"], &[]);
        assert!(begun.elapsed() < BOUND, "it took {:?}", begun.elapsed());
        let found = findings(&ended);
        (ended, found)
    }

    fn url(&self, node: u64) -> String {
        format!("http://{}:844{node}", self.0.address)
    }

    /// Waits until a node says this of the cluster.
    fn until(&self, node: u64, is_so: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.0.run(&format!("curl -s --max-time 5 {}/v1/cluster || true", self.url(node)));
            if serde_json::from_str(&shown).is_ok_and(|view| is_so(&view)) {
                return;
            }
            assert!(Instant::now() < deadline, "node {node}: {shown}\n{}", self.0.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn is_up(view: &Value, node: u64) -> bool {
    let members = view["members"].as_array();
    members.is_some_and(|members| members.iter().any(|member| member["node"] == node && member["up"] == true))
}

#[test]
fn doctor_names_the_node_and_what_to_do_about_it() {
    let cluster = Cluster(Machine::new(38));
    cluster.0.run(&format!("{NODES}{START}"));
    for node in 1..=3 {
        cluster.until(node, |view| view["standing"] == "member" && (1..=3).all(|other| is_up(view, other)));
    }
    let (healthy, found) = cluster.doctor();
    assert_eq!(healthy.code, Some(0), "{found:#?}");
    assert!(found.iter().all(|finding| finding.starts_with("ok ")), "{found:#?}");
    assert_found(&found, &["ok members 3 of 3 voters are up", "ok versions", "ok clocks"]);

    cluster.0.signal("data3", Signal::STOP);
    cluster.until(1, |view| view["has_quorum"] == true && !is_up(view, 3));
    let (one_hangs, found) = cluster.doctor();
    let third = format!("error {} ready it is not ready", cluster.url(3));
    assert_eq!(one_hangs.code, Some(1), "{found:#?}");
    assert_found(&found, &[&third, "error node 3 it is down", "2 of 3 voters are up"]);
    assert!(one_hangs.stdout.contains("start it; `latchd members remove` takes it out"), "{}", one_hangs.stdout);

    cluster.0.kill("data3");
    cluster.0.run(&format!("{NODES}{AHEAD}"));
    cluster.until(1, |view| view["has_quorum"] == true && is_up(view, 3));
    let (wrong_clock, found) = cluster.doctor();
    assert_eq!(wrong_clock.code, Some(0), "{found:#?}");
    let clock = format!("warn {} clock its clock is", cluster.url(3));
    assert_found(&found, &[&clock, "s ahead of that of this machine", "ok members 3 of 3 voters are up"]);
    assert!(wrong_clock.stdout.contains("timedatectl"), "{}", wrong_clock.stdout);

    cluster.0.kill("data1");
    cluster.0.kill("data2");
    cluster.until(3, |view| view["has_quorum"] == false);
    let (lost, found) = cluster.doctor();
    assert_eq!(lost.code, Some(1), "{found:#?}");
    assert_found(&found, &["node 3 knows no leader with a quorum: nothing is granted"]);
    assert!(lost.stdout.contains("start the nodes that are down, or repair the network"), "{}", lost.stdout);
}
