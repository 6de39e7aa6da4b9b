//! Checks of `[cluster]`: which of its keys need or exclude each other.

use super::ConfigError;
use crate::base::listen_url::ListenUrl;
use crate::engine::ClusterOptions;
use crate::engine::cluster_options::ip;

pub(super) fn check(cluster: &ClusterOptions) -> Result<(), ConfigError> {
    check_times(cluster)?;
    let problem = match &cluster.peer_listen {
        None => trouble_alone(cluster),
        Some(listen) => trouble_with_files(cluster).or_else(|| trouble_with_addresses(cluster, listen)),
    };
    problem.map_or(Ok(()), |text| Err(ConfigError::Conflict(text)))
}

fn trouble_alone(cluster: &ClusterOptions) -> Option<String> {
    let name = match (cluster.peers.is_empty(), &cluster.advertise) {
        (false, _) => "cluster.peers",
        (true, Some(_)) => "cluster.advertise",
        (true, None) => return None,
    };
    Some(format!("{name} is set, but this node listens for no peers: set cluster.peer_listen (--peer-listen) too"))
}

fn trouble_with_files(cluster: &ClusterOptions) -> Option<String> {
    let missing = [
        ("peer_ca (--peer-ca)", &cluster.peer_ca),
        ("peer_cert (--peer-cert)", &cluster.peer_cert),
        ("peer_key (--peer-key)", &cluster.peer_key),
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

fn trouble_with_addresses(cluster: &ClusterOptions, listen: &ListenUrl) -> Option<String> {
    let id = cluster.node_id;
    if ip(listen).is_none() {
        let host = &listen.host;
        return Some(format!(
            "cluster.peer_listen = {listen} names the host {host}: listen on an address such as \
             https://0.0.0.0:{port}, and set cluster.advertise to the name",
            port = listen.port
        ));
    }
    let own = cluster.own_entry();
    if !cluster.peers.is_empty() && own.is_none() && cluster.advertise.is_none() {
        let known: Vec<String> = cluster.peers.iter().map(|peer| peer.node.to_string()).collect();
        let known = known.join(", ");
        return Some(format!(
            "cluster.peers names the nodes {known}, but not {id}, which is this one: correct cluster.node_id \
             (--node-id), or, where node {id} is to be added to the others, set cluster.advertise (--advertise)"
        ));
    }
    if let Some((own, advertise)) = own.zip(cluster.advertise.as_ref()).filter(|(own, advertise)| own != advertise) {
        return Some(format!(
            "cluster.advertise = {advertise} differs from this node's entry {own} in cluster.peers: make them the \
             same, or leave advertise out"
        ));
    }
    let advertised = cluster.advertise()?;
    ip(advertised).is_some_and(|ip| ip.is_unspecified()).then(|| {
        format!(
            "peers cannot reach this node at {advertised}: set cluster.advertise (--advertise) to the URL under \
             which they can"
        )
    })
}

fn check_times(cluster: &ClusterOptions) -> Result<(), ConfigError> {
    let beyond_max = [("node_down_after", cluster.node_down_after), ("no_quorum_after", cluster.no_quorum_after)];
    let short = beyond_max.iter().find(|(_, after)| *after <= cluster.election_max);
    let text = if cluster.election_min < 2 * cluster.heartbeat {
        "cluster.election_min must be at least twice cluster.heartbeat, or one late heartbeat starts an election: \
         raise election_min or lower heartbeat"
            .to_owned()
    } else if cluster.election_max <= cluster.election_min {
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
