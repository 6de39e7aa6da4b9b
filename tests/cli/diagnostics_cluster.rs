//! Three nodes whose stderr is a broken pipe: a follower must be able to become leader.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::machine::{Machine, PATIENCE};

const NODES: &str = r#"
latchd certs init --dir peers --nodes 1=127.0.0.1,2=127.0.0.1,3=127.0.0.1 > certs.log
PEERS=1=https://127.0.0.1:9441,2=https://127.0.0.1:9442,3=https://127.0.0.1:9443
for N in 1 2 3; do
  latchd serve --node-id $N --listen http://127.0.0.1:844$N --data-dir data$N --peer-listen https://127.0.0.1:944$N \
    --peers $PEERS --peer-ca peers/ca.pem --peer-cert peers/node$N.pem --peer-key peers/node$N.key \
    > /dev/null 2> >(true) &
done
for N in 1 2 3; do
  until curl -sf http://127.0.0.1:844$N/readyz > /dev/null; do sleep 0.1; done
done
"#;

async fn leader(client: &reqwest::Client, machine: &Machine, nodes: &[u64]) -> Option<u64> {
    for node in nodes {
        let url = format!("http://{}:844{node}/v1/cluster", machine.address);
        if let Ok(answer) = client.get(url).timeout(Duration::from_secs(2)).send().await
            && let Ok(text) = answer.text().await
            && let Ok(view) = serde_json::from_str::<serde_json::Value>(&text)
            && let Some(leader) = view["leader"].as_u64()
        {
            return Some(leader);
        }
    }
    None
}

#[tokio::test]
async fn follower_with_broken_stderr_becomes_leader() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let machine = Machine::new(35);
    machine.run(NODES);
    let client = reqwest::Client::new();
    let mut alive = vec![1, 2, 3];
    let first = leader(&client, &machine, &alive).await.expect("a leader");
    machine.signal(&format!("data{first}"), Signal::KILL);
    alive.retain(|node| *node != first);
    let deadline = Instant::now() + PATIENCE;
    while leader(&client, &machine, &alive).await.is_none_or(|next| next == first) {
        assert!(Instant::now() < deadline, "nobody leads the nodes that are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for node in &alive {
        let url = format!("http://{}:844{node}/lock/at{node}", machine.address);
        let answer = client.post(url).timeout(PATIENCE).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}
