//! Three latchd nodes, and a client of sessions v1.

use std::path::Path;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use serde_json::{Value, json};

use crate::load::{Client, Service};
use crate::nodes::{Nodes, SIZE};

const API_KEY: &str = "bench-0123456789abcdef0123456789abcdef";
/// No measurement lasts as long.
const LEASE_SECONDS: u32 = 600;

pub struct Cluster {
    nodes: Nodes,
}

impl Cluster {
    pub async fn start() -> Self {
        let mut nodes = Nodes::new(0);
        let peer = |nodes: &Nodes, node: usize| format!("https://{}:9443", nodes.address(node));
        let peers: Vec<String> = (0..SIZE).map(|node| format!("{}={}", node + 1, peer(&nodes, node))).collect();
        for node in 0..SIZE {
            let (certificate, key) = nodes.pair(node);
            let flags = [
                ("--api-key", API_KEY.to_owned()),
                ("--log-level", "warn".to_owned()),
                ("--data-dir", nodes.data(node).display().to_string()),
                ("--listen", format!("https://{}:8443", nodes.address(node))),
                ("--tls-cert", certificate.display().to_string()),
                ("--tls-key", key.display().to_string()),
                ("--node-id", (node + 1).to_string()),
                ("--peer-listen", peer(&nodes, node)),
                ("--peers", peers.join(",")),
                ("--peer-ca", nodes.authority().display().to_string()),
                ("--peer-cert", certificate.display().to_string()),
                ("--peer-key", key.display().to_string()),
            ];
            let flags = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
            let arguments: Vec<String> = std::iter::once("serve".to_owned()).chain(flags).collect();
            nodes.start(Path::new(env!("CARGO_BIN_EXE_latchd")), &arguments);
        }
        let cluster = Self { nodes };
        for node in 0..SIZE {
            let what = format!("node {} of latchd does not serve", node + 1);
            cluster.nodes.wait_for(&what, async || cluster.ask(node, "/readyz").await.map(drop)).await;
        }
        cluster
    }

    fn url(&self, node: usize, target: &str) -> String {
        format!("https://{}:8443{target}", self.nodes.address(node))
    }

    async fn ask(&self, node: usize, target: &str) -> Option<String> {
        let answer =
            self.nodes.http(false).get(self.url(node, target)).header("X-API-Key", API_KEY).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }
}

impl Service for Cluster {
    type Client = Session;

    fn name(&self) -> &'static str {
        "latchd"
    }

    async fn leader(&self) -> usize {
        let leader = async || {
            let view: Value = serde_json::from_str(&self.ask(0, "/v1/cluster").await?).ok()?;
            usize::try_from(view["leader"].as_u64()?).ok()?.checked_sub(1)
        };
        self.nodes.wait_for("no node of latchd leads", leader).await
    }

    fn size(&self) -> usize {
        SIZE
    }

    async fn connect(&self, node: usize) -> Session {
        let http = self.nodes.http(false);
        let answer = http.post(self.url(node, "/session")).header("X-API-Key", API_KEY).send().await;
        let answer = answer.expect("a session can be opened");
        let cookie = answer.headers().get(SET_COOKIE).and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).expect("it comes as a cookie");
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).expect("a cookie is a header"));
        headers.insert("x-api-key", HeaderValue::from_static(API_KEY));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Session { lock: self.url(node, "/v1/lock"), unlock: self.url(node, "/v1/unlock"), http, headers }
    }
}

pub struct Session {
    http: reqwest::Client,
    headers: HeaderMap,
    lock: String,
    unlock: String,
}

impl Session {
    async fn post(&self, url: &str, body: &Value) -> Value {
        let answer = self.http.post(url).headers(self.headers.clone()).body(body.to_string()).send().await;
        let answer = answer.expect("latchd answers").bytes().await.expect("latchd answers");
        serde_json::from_slice(&answer).expect("latchd answers JSON")
    }
}

impl Client for Session {
    async fn cycle(&mut self, name: &str) {
        let taken = self.post(&self.lock, &json!({"name": name, "lock_timeout_seconds": LEASE_SECONDS})).await;
        assert_eq!(taken["locked"], true, "{taken}");
        let given = self.post(&self.unlock, &json!({"name": name, "key": taken["key"]})).await;
        assert_eq!(given["unlocked"], true, "{given}");
    }
}
