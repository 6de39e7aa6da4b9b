//! `latchd serve`: flags to configuration, then the server.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Failure, exit};
use crate::config::access::PlainCredentials;
use crate::config::log::LogLevel;
use crate::config::{Config, FlagValue, Inputs, LogConfig, Secret, SecretFile, Source};
use crate::telemetry::logs::{self, Logging};

/// Every flag wins over its LATCHD_* variable, that over the file, and that over the defaults.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// Configuration file; config.toml of the source shows every key (also LATCHD_CONFIG)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// URL to listen on: https, http, rediss or redis (for clients of Redis); may be given several times
    #[arg(long, value_name = "URL")]
    listen: Vec<String>,
    /// Plain URL to listen on for /livez, /readyz and /metrics alone, without certificate and credential
    #[arg(long, value_name = "URL")]
    probe_listen: Option<String>,
    /// Directory of the durable state
    #[arg(long, value_name = "DIR", conflicts_with = "in_memory")]
    data_dir: Option<String>,
    /// Keep the state in memory only
    #[arg(long)]
    in_memory: bool,
    /// Begin a new table although the clock of this machine reads a time before this release or beyond 2100
    #[arg(long)]
    trust_clock: bool,
    /// Begin empty in a data directory that held a log once and has lost it; gives up every lock held then
    #[arg(long)]
    accept_empty: bool,
    /// Let the log of a node that has lost its end count as it is; gives up what was answered since
    #[arg(long)]
    accept_lost_end: bool,
    /// Password with the admin role (also LATCHD_PASSWORD, which other users of this machine cannot see)
    #[arg(long, value_name = "PASSWORD", value_parser = secret)]
    password: Option<Secret>,
    /// API key with the admin role; may be given several times (also LATCHD_API_KEY)
    #[arg(long, value_name = "KEY", value_parser = secret)]
    api_key: Vec<Secret>,
    /// File that holds such a password (also LATCHD_PASSWORD_FILE)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File that holds such a key; may be given several times (also LATCHD_API_KEY_FILE)
    #[arg(long, value_name = "FILE")]
    api_key_file: Vec<PathBuf>,
    /// A session without any request for this long ends
    #[arg(long, value_name = "DURATION")]
    session_timeout: Option<String>,
    /// PEM file with the certificate chain
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// PEM file with the certificate's private key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// PEM file with the authorities of client certificates, which are then required
    #[arg(long, value_name = "FILE")]
    client_ca: Option<String>,
    /// Listen beyond loopback although no password and no key is configured
    #[arg(long)]
    allow_anonymous: bool,
    /// error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    log_format: Option<String>,
    /// File for log lines instead of stderr; opened anew on SIGHUP
    #[arg(long, value_name = "FILE")]
    log_file: Option<String>,
    /// This node's id; a data directory belongs to one id for ever
    #[arg(long, value_name = "ID", help_heading = "Cluster")]
    node_id: Option<String>,
    /// URL to listen on for peers (mutual TLS); without it the node runs alone
    #[arg(long, value_name = "URL", help_heading = "Cluster")]
    peer_listen: Option<String>,
    /// URL under which peers reach this node, where that is neither its entry in --peers nor --peer-listen
    #[arg(long, value_name = "URL", help_heading = "Cluster")]
    advertise: Option<String>,
    /// The nodes that form the cluster, the same list for each: 1=https://10.0.0.1:9443,2=…,3=…
    #[arg(long, value_name = "LIST", help_heading = "Cluster")]
    peers: Option<String>,
    /// PEM file with the authority that all peers have their certificates from
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    peer_ca: Option<String>,
    /// PEM file with this node's certificate for its peers
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    peer_cert: Option<String>,
    /// PEM file with that certificate's private key
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    peer_key: Option<String>,
}

/// For other threads after the last answer, such as one that reads a file on a disk that hangs.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "Examples:
  latchd serve
  latchd serve --in-memory --listen http://127.0.0.1:8080
  latchd serve --listen https://127.0.0.1:8443 --listen redis://127.0.0.1:6379
  latchd serve --config /etc/latchd.toml --session-timeout 30s
  latchd serve --listen https://0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem --api-key \"$KEY\"
  latchd serve --node-id 1 --peer-listen https://10.0.0.1:9443 \\
    --peers 1=https://10.0.0.1:9443,2=https://10.0.0.2:9443,3=https://10.0.0.3:9443 \\
    --peer-ca ca.pem --peer-cert node1.pem --peer-key node1.key";

impl Serve {
    /// Reports failures itself, through the log queue, so that a blocked stderr does not delay the end.
    pub fn run(self) -> u8 {
        let inputs = self.inputs();
        let fallback = LogConfig::fallback(&inputs);
        let served = match Config::load(inputs) {
            Ok(config) => start_logging(&config.log).and_then(|()| serve(config)),
            Err(error) => Err(Failure::from_error(error)),
        };
        let code = match served {
            Ok(()) => exit::SUCCESS,
            Err(failure) => {
                // Has no effect if logging is started already; nothing can be done if it fails.
                drop(start_logging(&fallback));
                logs::tell_failure(&failure.message);
                failure.code
            }
        };
        logs::finish();
        code
    }

    fn inputs(self) -> Inputs {
        let mut flags = Vec::new();
        let mut set = |flag, key, value: Option<String>| {
            flags.extend(value.map(|value| FlagValue { flag, key, value }));
        };
        let yes = |given: bool| given.then(|| "true".to_owned());
        set("--listen", "listen", (!self.listen.is_empty()).then(|| self.listen.join(",")));
        set("--probe-listen", "server.probe_listen", self.probe_listen);
        // A data directory on the command line overrides `in_memory` of a file.
        set("--data-dir", "in_memory", self.data_dir.as_ref().map(|_| "false".to_owned()));
        set("--data-dir", "data_dir", self.data_dir);
        set("--in-memory", "in_memory", yes(self.in_memory));
        set("--trust-clock", "storage.trust_clock", yes(self.trust_clock));
        set("--accept-empty", "storage.accept_empty", yes(self.accept_empty));
        set("--accept-lost-end", "storage.accept_lost_end", yes(self.accept_lost_end));
        set("--session-timeout", "sessions.idle_timeout", self.session_timeout);
        set("--tls-cert", "tls.cert", self.tls_cert);
        set("--tls-key", "tls.key", self.tls_key);
        set("--client-ca", "tls.client_ca", self.client_ca);
        set("--allow-anonymous", "access.allow_anonymous", yes(self.allow_anonymous));
        set("--log-level", "log.level", self.log_level);
        set("--log-file", "log.file", self.log_file);
        set("--node-id", "cluster.node_id", self.node_id);
        set("--peer-listen", "cluster.peer_listen", self.peer_listen);
        set("--advertise", "cluster.advertise", self.advertise);
        set("--peers", "cluster.peers", self.peers);
        set("--peer-ca", "cluster.peer_ca", self.peer_ca);
        set("--peer-cert", "cluster.peer_cert", self.peer_cert);
        set("--peer-key", "cluster.peer_key", self.peer_key);
        set("--log-format", "log.format", self.log_format);
        let sources = self.password.iter().map(|_| "--password").chain(self.api_key.iter().map(|_| "--api-key"));
        let sources = sources.map(|flag| Source::Flag(flag.to_owned())).collect();
        let passwords = self.password.into_iter().collect();
        let plain = PlainCredentials { passwords, api_keys: self.api_key, sources };
        let secret =
            |flag: &str, is_password, path| SecretFile { source: Source::Flag(flag.into()), is_password, path };
        let password = self.password_file.into_iter().map(|path| secret("--password-file", true, path));
        let keys = self.api_key_file.into_iter().map(|path| secret("--api-key-file", false, path));
        Inputs { file: self.config, env: environment(), flags, plain, secret_files: password.chain(keys).collect() }
    }
}

/// The environment; a value that is not UTF-8 is refused like any other bad value.
pub(super) fn environment() -> Vec<(String, String)> {
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

fn secret(text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        Err("an empty one would open the service to everybody".to_owned())
    } else {
        Ok(Secret::new(text))
    }
}

fn serve(config: Config) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::from_error)?;
    let served = runtime.block_on(crate::server::run(config));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    served.map_err(Failure::from_error)?;
    tracing::info!("stopped");
    Ok(())
}

fn start_logging(config: &LogConfig) -> Result<(), Failure> {
    let level = match config.level {
        LogLevel::Error => tracing::Level::ERROR,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Trace => tracing::Level::TRACE,
    };
    // https://no-color.org: any text but the empty one.
    let colours = std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty());
    let file = config.file();
    let started = logs::start(Logging { level, format: config.format, file, colours });
    started.map_err(|error| match file {
        Some(file) => format!("log.file: {} cannot be opened ({error})", file.display()),
        None => format!("logging cannot be started: {error}"),
    })?;
    logs::tell_panics();
    Ok(())
}
