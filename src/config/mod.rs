//! Configuration: plain validated structs, one file per concern, read from one merged document. What the engine is
//! started with (`storage`, `events`, `cluster`) is read into its own structs.
//!
//! Defaults (the `config.toml` at the top of the repository, compiled in) <- file <- environment <- flags. No room
//! below `cli` and `server` reads the environment; each gets the values that it needs.

pub mod access;
mod audit;
mod bounds;
mod cluster;
mod console;
pub mod env;
mod error;
mod exposure;
mod inputs;
pub mod keys_file;
mod layers;
pub mod limits;
pub mod log;
mod quotas;
mod rates;
mod redis;
pub mod secret_file;
pub mod server;
pub mod tls;
pub mod toml_errors;
mod tracing;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

pub use self::access::AccessConfig;
pub use self::audit::AuditConfig;
pub use self::console::ConsoleConfig;
pub use self::error::{ConfigError, Source};
pub use self::exposure::Warning;
pub use self::inputs::{FlagValue, Inputs, read_settings};
pub use self::limits::{ElectionsConfig, FencesConfig, LocksConfig, QuotasConfig, SessionsConfig, TerraformConfig};
pub use self::log::LogConfig;
pub use self::redis::RedisConfig;
pub use self::secret_file::SecretFile;
pub use self::server::{CompatConfig, ServerConfig};
pub use self::tls::TlsConfig;
pub use self::tracing::TracingConfig;

use self::access::PlainCredentials;
use self::layers::Layers;
pub use crate::base::config_value::Secret;
pub use crate::base::listen_url::{ListenUrl, Scheme};
use crate::domain::time::round_up_ms;
use crate::domain::{Limits, Quotas};
pub use crate::engine::cluster_options::NODE_ID_MAX;
use crate::engine::events::EventOptions;
use crate::engine::{ClusterOptions, StorageOptions};

/// The document of defaults: every key, its default and a comment.
pub const DEFAULTS: &str = include_str!("../../config.toml");

/// The whole configuration, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub listen: Vec<ListenUrl>,
    pub data_dir: PathBuf,
    pub in_memory: bool,
    pub tls: TlsConfig,
    pub access: AccessConfig,
    pub audit: AuditConfig,
    pub console: ConsoleConfig,
    pub server: ServerConfig,
    pub sessions: SessionsConfig,
    pub locks: LocksConfig,
    pub terraform: TerraformConfig,
    pub elections: ElectionsConfig,
    pub fences: FencesConfig,
    pub quotas: QuotasConfig,
    pub redis: RedisConfig,
    pub storage: StorageOptions,
    pub events: EventOptions,
    pub cluster: ClusterOptions,
    pub compat: CompatConfig,
    pub log: LogConfig,
    pub tracing: TracingConfig,
    /// From `--password`, `--api-key` and their variables; no key of the document.
    #[serde(skip)]
    pub plain: PlainCredentials,
}

impl Config {
    /// Merges the layers and checks the result.
    pub fn load(inputs: Inputs) -> Result<Self, ConfigError> {
        let config = Self::read(inputs)?;
        config.check()?;
        Ok(config)
    }

    /// The same without the check that all of it goes together: for commands that do not know the flags of the server.
    pub fn read(inputs: Inputs) -> Result<Self, ConfigError> {
        let mut layers = Layers::new(DEFAULTS);
        if let Some(path) = inputs.file_named() {
            let file = path.display().to_string();
            let text = read_settings(&path)
                .map_err(|error| ConfigError::Unreadable { file: file.clone(), reason: error.to_string() })?;
            layers.file(&file, &text)?;
        }
        let mut plain = PlainCredentials::default();
        let mut secret_files = inputs.secret_files;
        env::apply(&mut layers, &mut plain, &mut secret_files, &inputs.env)?;
        for FlagValue { flag, key, value } in inputs.flags {
            layers.text(key, &value, Source::Flag(flag.to_owned()))?;
        }
        plain.passwords.extend(inputs.plain.passwords);
        plain.api_keys.extend(inputs.plain.api_keys);
        plain.sources.extend(inputs.plain.sources);
        for file in secret_files {
            let into = if file.is_password { &mut plain.passwords } else { &mut plain.api_keys };
            into.push(file.read()?);
            plain.sources.push(file.source);
        }
        let read: Self = layers.read()?;
        let tracing = read.tracing.clone().with_environment(&inputs.env);
        Ok(Self { plain, tracing, ..read })
    }

    /// What the lock table itself enforces.
    pub fn limits(&self) -> Limits {
        let Config { sessions, locks, elections, fences, quotas, .. } = self;
        Limits {
            name_bytes_max: locks.name_bytes_max as u64,
            metadata_entries_max: locks.metadata_entries_max as u64,
            metadata_key_bytes_max: locks.metadata_key_bytes_max as u64,
            metadata_value_bytes_max: locks.metadata_value_bytes_max as u64,
            wait_ms_max: round_up_ms(locks.wait_max),
            lease_ms_max: round_up_ms(locks.lease_max),
            size_max: locks.size_max.into(),
            waiters_per_lock_max: locks.waiters_per_lock_max,
            holds_max: locks.holds_max,
            sessions_max: sessions.count_max,
            holds_per_session_max: sessions.holds_max,
            remembered_sizes_max: locks.remembered_sizes_max,
            remembered_size_idle_ms: round_up_ms(locks.remembered_size_idle),
            requests_max: locks.requests_max,
            table_bytes_max: locks.table_bytes_max,
            credential_share: u64::from(quotas.credential_percent) * 10,
            address_share: u64::from(quotas.address_percent) * 10,
            names_max: locks.names_max,
            lock_delay_ms_max: round_up_ms(locks.lock_delay_max),
            value_bytes_max: elections.value_bytes_max,
            election_reliable_ms: round_up_ms(elections.reliable_max),
            deadlock_search_max: locks.deadlock_search_max,
            marks_max: fences.marks_max,
            mark_idle_ms: round_up_ms(fences.mark_idle),
            history_per_lock: locks.history_per_lock,
            history_bytes_max: locks.history_bytes_max,
            freeze_ms_max: round_up_ms(locks.freeze_max),
            freezes_max: locks.freezes_max,
        }
    }

    /// The quotas that the lock table enforces; `None`: none.
    pub fn quotas(&self) -> Option<Arc<Quotas>> {
        quotas::quotas(&self.quotas.limits)
    }

    /// Whether any password, key or issuer of identity tokens is configured, or a file in which there may be keys.
    pub fn has_credentials(&self) -> bool {
        let has_hashes = !self.access.passwords.is_empty() || !self.access.keys.is_empty();
        has_hashes
            || self.access.keys_file().is_some()
            || !self.access.oidc.is_empty()
            || !self.access.certificates.is_empty()
            || !self.plain.passwords.is_empty()
            || !self.plain.api_keys.is_empty()
    }

    fn check(&self) -> Result<(), ConfigError> {
        let conflict = |text: String| Err(ConfigError::Conflict(text));
        self.tls.check()?;
        access::CertificateConfig::check(&self.access.certificates).map_err(ConfigError::Conflict)?;
        access::CertificateConfig::check_authorities(
            &self.access.certificates,
            "access.certificates",
            self.tls.client_ca(),
        )
        .map_err(ConfigError::Conflict)?;
        cluster::check(&self.cluster)?;
        self.tracing.check()?;
        if self.listen.is_empty() {
            return conflict("listen is empty: name at least one URL, e.g. --listen https://127.0.0.1:8443".to_owned());
        }
        if let Some(url) = self.listen.iter().find(|url| url.proxy_protocol)
            && self.server.trusted_proxies.is_empty()
        {
            return conflict(format!(
                "listen = {url} asks for the PROXY protocol, but nobody may speak it: name the load balancers in \
                 server.trusted_proxies"
            ));
        }
        if self.data_dir.as_os_str().is_empty() && !self.in_memory {
            return conflict("data_dir is empty: name a directory (--data-dir) or choose --in-memory".to_owned());
        }
        for (key, lease) in [
            ("locks.get_lock_lifetime", self.locks.get_lock_lifetime),
            ("locks.lock_unlock_ttl", self.locks.lock_unlock_ttl),
            ("locks.kufuli_max_lock_span", self.locks.kufuli_max_lock_span),
            ("terraform.max_hold", self.terraform.max_hold().unwrap_or_default()),
        ] {
            if lease > self.locks.lease_max {
                return conflict(format!("{key} is longer than locks.lease_max: shorten it or raise lease_max"));
            }
        }
        self.check_exposure()
    }

    /// Whoever needs no credential must be on this machine.
    fn check_exposure(&self) -> Result<(), ConfigError> {
        let conflict = |text: String| Err(ConfigError::Conflict(text));
        if self.access.allow_anonymous || self.has_credentials() {
            return Ok(());
        }
        if !self.server.trusted_proxies.is_empty() {
            return conflict(
                "server.trusted_proxies is set, so clients come from elsewhere, but no credential is configured: set \
                 --password or --api-key (or access.passwords, access.keys, access.keys_file in the file), or allow \
                 anybody with --allow-anonymous"
                    .to_owned(),
            );
        }
        match self.listen.iter().find(|url| !url.is_loopback()) {
            Some(url) => conflict(format!(
                "listen = {url} is reachable from other machines, but no credential is configured: set \
                 --password or --api-key (or access.passwords, access.keys, access.keys_file in the file), listen on \
                 127.0.0.1 only, or allow anybody with --allow-anonymous"
            )),
            None => Ok(()),
        }
    }
}

impl Default for Config {
    /// The configuration of an empty file.
    fn default() -> Self {
        Self::load(Inputs::default()).expect("the compiled-in config.toml is valid")
    }
}
