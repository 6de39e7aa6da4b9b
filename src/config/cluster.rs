//! `[cluster]`: this node's place among others, and how the peers talk.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::ConfigError;
use super::listen::{ListenUrl, Scheme};
use crate::base::config_value::positive_duration;

/// The largest node id: what JSON numbers hold exactly in every language.
const NODE_ID_MAX: u64 = (1 << 53) - 1;

/// A node alone has nothing here but its id.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    #[serde(deserialize_with = "node_id")]
    pub node_id: u64,
    #[serde(deserialize_with = "optional_url")]
    peer_listen: Option<ListenUrl>,
    #[serde(deserialize_with = "optional_url")]
    advertise: Option<ListenUrl>,
    /// Those who form the cluster, or whom a node without a place in it asks to be added; empty where it begins alone.
    #[serde(deserialize_with = "peers")]
    pub peers: Vec<Peer>,
    peer_ca: PathBuf,
    peer_cert: PathBuf,
    peer_key: PathBuf,
    #[serde(deserialize_with = "positive_duration")]
    pub heartbeat: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub election_min: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub election_max: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub node_down_after: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub no_quorum_after: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub outcome_wait: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub compare_every: Duration,
}

/// One of the nodes that form the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub node: u64,
    pub url: ListenUrl,
}

impl ClusterConfig {
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
    pub fn tls(&self) -> Option<[&Path; 3]> {
        let files = [&self.peer_ca, &self.peer_cert, &self.peer_key].map(PathBuf::as_path);
        files.iter().all(|file| !file.as_os_str().is_empty()).then_some(files)
    }

    fn own_entry(&self) -> Option<&ListenUrl> {
        self.peers.iter().find(|peer| peer.node == self.node_id).map(|peer| &peer.url)
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.check_times()?;
        let problem = match &self.peer_listen {
            None => self.trouble_alone(),
            Some(listen) => self.trouble_with_files().or_else(|| self.trouble_with_addresses(listen)),
        };
        problem.map_or(Ok(()), |text| Err(ConfigError::Conflict(text)))
    }

    fn trouble_alone(&self) -> Option<String> {
        let name = match (self.peers.is_empty(), &self.advertise) {
            (false, _) => "cluster.peers",
            (true, Some(_)) => "cluster.advertise",
            (true, None) => return None,
        };
        Some(format!("{name} is set, but this node listens for no peers: set cluster.peer_listen (--peer-listen) too"))
    }

    fn trouble_with_files(&self) -> Option<String> {
        let missing = [
            ("peer_ca (--peer-ca)", &self.peer_ca),
            ("peer_cert (--peer-cert)", &self.peer_cert),
            ("peer_key (--peer-key)", &self.peer_key),
        ];
        let missing: Vec<&str> =
            missing.iter().filter(|(_, file)| file.as_os_str().is_empty()).map(|(name, _)| *name).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "cluster.peer_listen is set, but peers talk over mutual TLS only: set cluster.{} too; `latchd certs \
                 init` makes a set for trying it out",
                missing.join(", cluster.")
            )
        })
    }

    fn trouble_with_addresses(&self, listen: &ListenUrl) -> Option<String> {
        let id = self.node_id;
        if ip(listen).is_none() {
            let host = &listen.host;
            return Some(format!(
                "cluster.peer_listen = {listen} names the host {host}: listen on an address such as \
                 https://0.0.0.0:{port}, and set cluster.advertise to the name",
                port = listen.port
            ));
        }
        let own = self.own_entry();
        if !self.peers.is_empty() && own.is_none() && self.advertise.is_none() {
            let known: Vec<String> = self.peers.iter().map(|peer| peer.node.to_string()).collect();
            let known = known.join(", ");
            return Some(format!(
                "cluster.peers names the nodes {known}, but not {id}, which is this one: correct cluster.node_id \
                 (--node-id), or, where node {id} is to be added to the others, set cluster.advertise (--advertise)"
            ));
        }
        if let Some((own, advertise)) = own.zip(self.advertise.as_ref()).filter(|(own, advertise)| own != advertise) {
            return Some(format!(
                "cluster.advertise = {advertise} differs from this node's entry {own} in cluster.peers: make them the \
                 same, or leave advertise out"
            ));
        }
        let advertised = self.advertise()?;
        ip(advertised).is_some_and(|ip| ip.is_unspecified()).then(|| {
            format!(
                "peers cannot reach this node at {advertised}: set cluster.advertise (--advertise) to the URL under \
                 which they can"
            )
        })
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        let beyond_max = [("node_down_after", self.node_down_after), ("no_quorum_after", self.no_quorum_after)];
        let short = beyond_max.iter().find(|(_, after)| *after <= self.election_max);
        let text = if self.election_min < 2 * self.heartbeat {
            "cluster.election_min must be at least twice cluster.heartbeat, or one late heartbeat starts an election: \
             raise election_min or lower heartbeat"
                .to_owned()
        } else if self.election_max <= self.election_min {
            "cluster.election_max must be longer than cluster.election_min, or all nodes stand for election at once: \
             raise election_max"
                .to_owned()
        } else if let Some((key, _)) = short {
            format!("cluster.{key} must be longer than cluster.election_max, which an election may take: raise {key}")
        } else {
            return Ok(());
        };
        Err(ConfigError::Conflict(text))
    }
}

/// The address of a URL that names one; `localhost` does.
fn ip(url: &ListenUrl) -> Option<IpAddr> {
    match url.host.eq_ignore_ascii_case("localhost") {
        true => Some(Ipv4Addr::LOCALHOST.into()),
        false => url.host.parse().ok(),
    }
}

const ACCEPTED: &str = "a URL like https://10.0.0.1:9443 with https and a port";

fn peer_url(text: &str) -> Option<ListenUrl> {
    ListenUrl::parse(text).filter(|url| url.scheme == Scheme::Https && url.port != 0)
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
