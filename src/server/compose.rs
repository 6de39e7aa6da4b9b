//! From the configuration to the parts of the service: the engine and the access checker.

use super::system_limits::table_bytes_max;
use crate::access::{Access, AccessError, AccessOptions, Credential, Role};
use crate::base::Drain;
use crate::config::access::KeyConfig;
use crate::config::{ClusterConfig, Config, Secret};
use crate::domain::Limits;
use crate::engine::{ClusterOptions, EngineOptions, PeerFiles};
use std::path::Path;
use std::time::Duration;

/// Each keeps a core busy.
const VERIFICATIONS_AT_ONCE: usize = 1;

/// How the engine is started.
pub fn engine_options(config: &Config, drain: Drain) -> EngineOptions {
    EngineOptions {
        data_dir: (!config.in_memory).then(|| config.data_dir.clone()),
        storage: config.storage.clone(),
        limits: Limits { table_bytes_max: table_bytes_max(config.locks.table_bytes_max), ..config.limits() },
        session_idle_timeout: config.sessions.idle_timeout,
        events: config.events,
        cluster: cluster_options(&config.cluster),
        drain,
    }
}

fn cluster_options(cluster: &ClusterConfig) -> ClusterOptions {
    let peers = cluster.peers.iter().map(|peer| (peer.node, peer.url.to_string()));
    let tls = cluster.tls().map(|files| files.map(Path::to_owned)).map(|[ca, cert, key]| PeerFiles { ca, cert, key });
    ClusterOptions {
        node_id: cluster.node_id,
        listen: cluster.listen(),
        advertise: cluster.advertise().map(ToString::to_string).unwrap_or_default(),
        peers: peers.collect(),
        tls,
        transport: None,
        store: None,
        heartbeat: cluster.heartbeat,
        election_min: cluster.election_min,
        election_max: cluster.election_max,
        no_quorum_after: cluster.no_quorum_after,
        outcome_wait: cluster.outcome_wait,
        node_down_after: cluster.node_down_after,
        compare_every: cluster.compare_every,
    }
}

/// Who may do what. While no credential is configured, clients need none: on loopback a client that can connect owns the
/// machine anyway; beyond it, clients may use locks but not force them.
pub fn access(config: &Config) -> Result<Access, AccessError> {
    let only_loopback = config.listen.iter().all(|url| url.is_loopback());
    let options = AccessOptions {
        anonymous_role: if only_loopback { Role::Admin } else { Role::Client },
        failures_per_window: config.access.failure_limit,
        window: Duration::from_secs(60),
        max_addresses: config.access.failure_addresses_max,
        max_refused: config.access.password_cache_max,
        max_verifications: VERIFICATIONS_AT_ONCE,
    };
    Access::new(credentials(config), options)
}

fn credentials(config: &Config) -> Vec<Credential> {
    let keys = config.access.keys.iter().map(api_key);
    let passwords =
        named("password", &config.access.passwords).map(|(name, phc)| Credential::PasswordHash { name, phc });
    let plain_keys =
        named("command-line-key", &config.plain.api_keys).map(|(name, secret)| Credential::PlainKey { name, secret });
    let plain_passwords = named("command-line-password", &config.plain.passwords)
        .map(|(name, secret)| Credential::PlainPassword { name, secret });
    keys.chain(passwords).chain(plain_keys).chain(plain_passwords).collect()
}

fn api_key(key: &KeyConfig) -> Credential {
    Credential::ApiKey { name: key.name.clone(), sha256: key.sha256, role: key.role, prefixes: key.prefixes.clone() }
}

/// Numbered names, for logs, of secrets that have none: `password-1`, `password-2`.
fn named<'a>(kind: &'static str, secrets: &'a [Secret]) -> impl Iterator<Item = (String, String)> + 'a {
    secrets.iter().enumerate().map(move |(at, secret)| (format!("{kind}-{}", at + 1), secret.expose().to_owned()))
}
