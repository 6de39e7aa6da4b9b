//! From the configuration to the parts of the service: the engine and the access checker.

use super::serve::StartError;
use super::system_limits::table_bytes_max;
use crate::access::oidc::{IdentityTokens, TokenLimits};
use crate::access::{Access, AccessError, AccessOptions, CertificateRule, Credential, Rates, Role, reserved_names};
use crate::audit::{Audit, AuditFile, Destination, FileQueue};
use crate::base::{Drain, clock};
use crate::config::{Config, Secret};
use crate::domain::Limits;
use crate::engine::{EngineOptions, Pace};
use crate::telemetry::logs;
use crate::telemetry::traces::{Collector, CollectorFiles, SpanCounts, Traces};
use std::sync::Arc;
use std::time::Duration;

/// Each keeps a core busy.
const VERIFICATIONS_AT_ONCE: usize = 1;

/// How the engine is started.
pub fn engine_options(config: &Config, drain: Drain) -> EngineOptions {
    EngineOptions {
        data_dir: (!config.in_memory).then(|| config.data_dir.clone()),
        storage: config.storage.clone(),
        limits: Limits { table_bytes_max: table_bytes_max(config.locks.table_bytes_max), ..config.limits() },
        quotas: config.quotas(),
        session_idle_timeout: config.sessions.idle_timeout,
        events: config.events,
        cluster: config.cluster.clone(),
        drain,
        pace: None,
        transport: None,
        store: None,
    }
}

/// Where requests are traced; `None` where they are not.
pub fn traces(config: &Config, counts: SpanCounts) -> Result<Option<Arc<Traces>>, StartError> {
    let tracing = &config.tracing;
    if tracing.endpoint.is_empty() {
        return Ok(None);
    }
    let collector = Collector {
        endpoint: tracing.url(),
        is_grpc: tracing.is_grpc(),
        headers: tracing.headers()?,
        files: CollectorFiles { authorities: tracing.ca_file(), pair: tracing.client_pair() },
        service_name: tracing.service_name.clone(),
        instance: format!("node-{}", config.cluster.node_id),
    };
    let ratio = tracing.sample_percent / 100.0;
    let started = Traces::start(collector, ratio, tracing.traces_per_second_max, counts);
    started.map(Some).map_err(|reason| StartError::Traces { url: tracing.url(), reason })
}

/// How many requests are allowed in a second.
pub fn rates(config: &Config) -> Arc<Rates> {
    Arc::new(Rates::new(&config.quotas.rates, clock::process_age))
}

/// The rates of prefixes, for the engine, because it alone sees every name.
pub fn pace(rates: &Arc<Rates>) -> Pace {
    let rates = Arc::clone(rates);
    Box::new(move |acquire| {
        let further = acquire.terms.iter().flat_map(|terms| terms.names.iter().map(|(name, _)| &**name));
        rates.admit_names(std::iter::once(&*acquire.name).chain(further))
    })
}

/// Who may do what. While no credential is configured, clients need none: on loopback a client that can connect owns the
/// machine anyway; beyond it, clients may use locks but not force them.
pub fn access(config: &Config) -> Result<Access, AccessError> {
    let only_loopback = config.listen.iter().all(|url| url.is_loopback());
    let options = AccessOptions {
        may_reload: config.access.keys_file().is_some(),
        anonymous_role: if only_loopback { Role::Admin } else { Role::Client },
        failures_per_window: config.access.failure_limit,
        window: Duration::from_secs(60),
        max_addresses: config.access.failure_addresses_max,
        max_refused: config.access.password_cache_max,
        max_verifications: VERIFICATIONS_AT_ONCE,
    };
    let certificates = config.access.certificates.iter().map(CertificateRule::from);
    let access = Access::new(credentials(config), options)?.with_certificates(certificates.collect())?;
    if config.access.oidc.is_empty() {
        return Ok(access);
    }
    let random = |error: getrandom::Error| AccessError::Random { problem: error.to_string() };
    let tokens = IdentityTokens::new(&config.access.oidc, token_limits(config)).map_err(random)?;
    Ok(access.with_tokens(Arc::new(tokens)))
}

fn token_limits(config: &Config) -> TokenLimits {
    let access = &config.access;
    TokenLimits {
        leeway: access.oidc_leeway,
        lifetime_max: access.oidc_lifetime_max,
        refetch_interval: access.oidc_refetch_interval,
        failures_per_minute: access.failure_limit,
        addresses_max: access.failure_addresses_max,
    }
}

/// Where it is told what operators do. Fails where the configured file cannot be used.
pub fn audit(config: &Config) -> Result<Audit, StartError> {
    let destination = match config.audit.file() {
        Some(options) => {
            let mut file = AuditFile::open(options)?;
            let queue = FileQueue::start(move |line| file.append(line), config.audit.write_timeout);
            Destination::File(queue.map_err(StartError::Runtime)?)
        }
        None => Destination::Log(logs::push_audit),
    };
    Ok(Audit::new(config.cluster.node_id, destination, config.audit.on_failure))
}

fn credentials(config: &Config) -> Vec<Credential> {
    let keys = config.access.keys.iter().map(|key| Credential::ApiKey(key.into()));
    let passwords = named(reserved_names::PASSWORD, &config.access.passwords)
        .map(|(name, phc)| Credential::PasswordHash { name, phc });
    let plain_keys = named(reserved_names::COMMAND_LINE_KEY, &config.plain.api_keys)
        .map(|(name, secret)| Credential::PlainKey { name, secret });
    let plain_passwords = named(reserved_names::COMMAND_LINE_PASSWORD, &config.plain.passwords)
        .map(|(name, secret)| Credential::PlainPassword { name, secret });
    keys.chain(passwords).chain(plain_keys).chain(plain_passwords).collect()
}

/// Numbered names, for logs, of secrets that have none: `password-1`, `password-2`.
fn named<'a>(kind: &'static str, secrets: &'a [Secret]) -> impl Iterator<Item = (String, String)> + 'a {
    secrets.iter().enumerate().map(move |(at, secret)| (format!("{kind}-{}", at + 1), secret.expose().to_owned()))
}
