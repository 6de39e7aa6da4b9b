//! `[cluster]`: this node's place among others, and how the peers talk.

use crate::base::config_value::positive_duration;
use crate::base::listen_url::{ListenUrl, Scheme};
use crate::raft::PeerFiles;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The largest node id: what JSON numbers hold exactly in every language.
pub const NODE_ID_MAX: u64 = (1 << 53) - 1;

/// A node alone has nothing here but its id.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterOptions {
    #[serde(deserialize_with = "node_id")]
    pub node_id: u64,
    #[serde(deserialize_with = "optional_url")]
    pub peer_listen: Option<ListenUrl>,
    #[serde(deserialize_with = "optional_url")]
    pub advertise: Option<ListenUrl>,
    /// Those who form the cluster, or whom a node without a place in it asks to be added; empty where it begins alone.
    #[serde(deserialize_with = "peers")]
    pub peers: Vec<Peer>,
    pub peer_ca: PathBuf,
    pub peer_cert: PathBuf,
    pub peer_key: PathBuf,
    #[serde(deserialize_with = "positive_duration")]
    pub heartbeat: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub election_min: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub election_max: Duration,
    /// A node that is not heard for this long is declared down.
    #[serde(deserialize_with = "positive_duration")]
    pub node_down_after: Duration,
    /// Requests are refused with "no quorum" after this long without one.
    #[serde(deserialize_with = "positive_duration")]
    pub no_quorum_after: Duration,
    /// A command that was handed on this long ago gets "outcome unknown".
    #[serde(deserialize_with = "positive_duration")]
    pub outcome_wait: Duration,
    /// How often, in cluster time, nodes compare their tables; the same on all of them.
    #[serde(deserialize_with = "positive_duration")]
    pub compare_every: Duration,
}

/// One of the nodes that form the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub node: u64,
    pub url: ListenUrl,
}

impl ClusterOptions {
    /// Where peers are listened for; `None`: the node runs alone.
    pub fn listen(&self) -> Option<SocketAddr> {
        let url = self.peer_listen.as_ref()?;
        Some(SocketAddr::new(ip(url)?, url.port))
    }

    /// The URL under which peers reach this node: as said, or its own entry among the peers, or where it listens.
    pub fn advertise(&self) -> Option<&ListenUrl> {
        self.advertise.as_ref().or_else(|| self.own_entry()).or(self.peer_listen.as_ref())
    }

    /// Authority, certificate and key for talking to peers, when all are named.
    pub fn tls(&self) -> Option<PeerFiles> {
        let [ca, cert, key] = [&self.peer_ca, &self.peer_cert, &self.peer_key].map(PathBuf::clone);
        let is_complete = [&ca, &cert, &key].iter().all(|file| !file.as_os_str().is_empty());
        is_complete.then_some(PeerFiles { ca, cert, key })
    }

    pub fn own_entry(&self) -> Option<&ListenUrl> {
        self.peers.iter().find(|peer| peer.node == self.node_id).map(|peer| &peer.url)
    }

    /// The URLs of the nodes that form the cluster.
    pub fn peer_urls(&self) -> BTreeMap<u64, String> {
        self.peers.iter().map(|peer| (peer.node, peer.url.to_string())).collect()
    }
}

/// The address of a URL that names one; `localhost` does.
pub fn ip(url: &ListenUrl) -> Option<IpAddr> {
    match url.host.eq_ignore_ascii_case("localhost") {
        true => Some(Ipv4Addr::LOCALHOST.into()),
        false => url.host.parse().ok(),
    }
}

const ACCEPTED: &str = "a URL like https://10.0.0.1:9443 with https and a port";

/// The URL of a node, whose scheme and port are those that nodes listen on.
pub fn peer_url(text: &str) -> Option<ListenUrl> {
    ListenUrl::parse(text).filter(|url| url.scheme == Scheme::Https && url.port != 0 && !url.proxy_protocol)
}

fn optional_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ListenUrl>, D::Error> {
    let expected = || de::Error::custom(format!("expected {ACCEPTED}"));
    let text = String::deserialize(from).map_err(|_| expected())?;
    if text.is_empty() {
        return Ok(None);
    }
    peer_url(&text).map(Some).ok_or_else(expected)
}

fn node_id<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let id = u64::deserialize(from).ok().filter(|id| (1..=NODE_ID_MAX).contains(id));
    id.ok_or_else(|| de::Error::custom(format!("expected a whole number from 1 to {NODE_ID_MAX}")))
}

fn peers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Peer>, D::Error> {
    let expected = || de::Error::custom("expected a list like 1=https://10.0.0.1:9443,2=https://10.0.0.2:9443");
    let texts = Vec::<String>::deserialize(from).map_err(|_| expected())?;
    let mut peers: Vec<Peer> = Vec::with_capacity(texts.len());
    for text in &texts {
        let (id, url) = text.split_once('=').ok_or_else(expected)?;
        let node = id.trim().parse().ok().filter(|id| (1..=NODE_ID_MAX).contains(id)).ok_or_else(expected)?;
        let url = peer_url(url.trim()).ok_or_else(expected)?;
        if peers.iter().any(|known| known.node == node || known.url == url) {
            return Err(de::Error::custom(format!("expected each id and each URL once, but {text} is there again")));
        }
        peers.push(Peer { node, url });
    }
    Ok(peers)
}
