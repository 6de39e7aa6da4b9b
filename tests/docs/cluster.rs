//! The clusters guide, word for word, with real nodes; and what a node says after it has lost its disk.

use super::markdown::block;
use super::run::run;
use crate::support::machine::{Machine, PATIENCE};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const GUIDE: &str = "docs/clusters.md";
/// The pages that are run here, because they need a machine of several nodes.
pub const TESTED: [&str; 2] = ["README.md", GUIDE];

fn members(machine: &Machine) -> Value {
    let list = format!("latchd members list --output json --url https://{}:8451", machine.address);
    serde_json::from_str(&machine.run(&list)).expect("JSON")
}

/// What each member says of itself.
fn roles(cluster: &Value) -> Vec<(u64, &str)> {
    let members = cluster["members"].as_array().expect("members").iter();
    members.map(|member| (member["node"].as_u64().expect("an id"), member["role"].as_str().expect("a role"))).collect()
}

#[test]
fn three_nodes_start_as_written() {
    let machine = Machine::new(31);
    let shown = machine.run(&block(GUIDE, "sh three"));
    assert!(shown.contains(" is ready\nNODE  ROLE "), "{shown}");
    let cluster = members(&machine);
    assert_eq!(roles(&cluster).iter().filter(|(_, role)| *role == "leader").count(), 1, "{cluster}");
    assert!(roles(&cluster).len() == 3 && !cluster.to_string().contains("learner"), "{cluster}");
}

#[test]
fn single_node_grows_to_three_and_keeps_its_locks() {
    let machine = Machine::new(32);
    let three = block(GUIDE, "sh three");
    let (definitions, _) = three.split_once("for N in").expect("what is defined before the loop");
    let shown = machine.run(&format!("{definitions}{}", block(GUIDE, "sh grow")));
    let locks = shown.rsplit("NAME ").next().expect("a table");
    assert!(locks.lines().nth(1).is_some_and(|line| line.starts_with("kept  1/1 ")), "{shown}");
    assert_eq!(roles(&members(&machine)), [(1, "leader"), (2, "follower"), (3, "follower")]);
    machine.kill("data1");
    let after = "until latchd locks --url https://127.0.0.1:8452,https://127.0.0.1:8453 --prefix kept | grep '^kept'; do sleep 0.2; done";
    assert!(machine.run(after).contains("kept  1/1 "));
}

/// Asks the third node until its answer is such.
async fn until_answered(machine: &Machine, path: &str, is_so: impl Fn(u16, &str) -> bool) -> String {
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(answer) = client.get(format!("https://{}:8453{path}", machine.address)).send().await {
            let (status, text) = (answer.status().as_u16(), answer.text().await.expect("a text"));
            if is_so(status, &text) {
                return text;
            }
            assert!(Instant::now() < deadline, "{path}: {status} {text}\n{}", machine.logs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn node_that_lost_its_disk_refuses_until_it_is_added_again() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let machine = Machine::new(33);
    let three = block(GUIDE, "sh three");
    machine.run(&three);
    until_answered(&machine, "/readyz", |status, _| status == 200).await;
    machine.kill("data3");
    std::fs::remove_dir_all(machine.home.path().join("data3")).expect("wiped");
    let (definitions, _) = three.split_once("for N in").expect("what is defined before the loop");
    let definitions = definitions.split_once('\n').expect("but the certificates, which are there").1;
    machine.run(&format!("{definitions}node 3 > node3.log 2>&1 &"));

    let advice = "`latchd members remove 3`";
    let wiped = |status: u16, text: &str| status == 503 && text.contains(advice);
    let ready = until_answered(&machine, "/readyz", wiped).await;
    assert!(ready.starts_with("not ready: the cluster knows node 3 with another data directory"), "{ready}");
    for path in ["/v1/locks", "/v1/locks/a?consistency=stale", "/v1/sessions"] {
        let refused: Value = serde_json::from_str(&until_answered(&machine, path, wiped).await).expect("JSON");
        assert_eq!(refused["code"], "node-wiped", "{path}");
    }
    let cluster: Value =
        serde_json::from_str(&until_answered(&machine, "/v1/cluster", |status, _| status == 200).await).expect("JSON");
    assert_eq!((&cluster["standing"], &cluster["has_quorum"]), (&json!("wiped"), &json!(false)));
    assert!(cluster["standing_detail"].as_str().is_some_and(|detail| detail.contains(advice)), "{cluster}");
    let [first, second, third] = [8453, 8451, 8452].map(|port| format!("https://{}:{port}", machine.address));
    let list = format!("latchd members list --output json --url {first},{second},{third}");
    let listed: Value = serde_json::from_str(&machine.run(&list)).expect("JSON");
    assert_eq!(roles(&listed).len(), 3, "the next URL leads to a node that serves: {listed}");
    let log = std::fs::read_to_string(machine.home.path().join("node3.log")).expect("its log");
    assert_eq!(log.matches(advice).count(), 1, "once, and clearly: {log}");

    let again = "latchd members remove 3; latchd members add 3 https://127.0.0.1:9453; latchd members promote 3";
    machine.run(&format!("export LATCHD_URL=https://127.0.0.1:8451,https://127.0.0.1:8452; {again}"));
    until_answered(&machine, "/readyz", |status, text| status == 200 && text == "ready\n").await;
    assert_eq!(members(&machine)["standing_detail"], Value::Null);
}

/// In a second shell, as a reader would: the server of the tour goes on while three others are started and grown.
#[test]
fn tour_and_cluster_guide_run_in_order_on_one_machine() {
    let machine = Machine::new(34);
    let shown = run(&TESTED, &machine);
    assert!(shown.rsplit("NAME ").next().is_some_and(|locks| locks.contains("\nkept  1/1 ")), "{shown}");
    assert!(machine.processes("--node-id").is_empty(), "all nodes have been stopped");
}
