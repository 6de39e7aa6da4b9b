//! The `LATCHD_*` environment.

use super::ConfigError;
use super::access::PlainCredentials;
use super::layers::{Layers, Source, nearest};
use super::value::Secret;

/// Prefix of every variable that is ours.
const PREFIX: &str = "LATCHD_";

/// Variables that are no keys of the configuration.
pub const CONFIG: &str = "LATCHD_CONFIG";
pub const URL: &str = "LATCHD_URL";
pub const CA: &str = "LATCHD_CA";
pub const PASSWORD: &str = "LATCHD_PASSWORD";
pub const API_KEY: &str = "LATCHD_API_KEY";

/// What only clients read, and what `latchd lock` gives to its command: a server may be started below either.
const OF_CLIENTS: [&str; 6] = [
    "LATCHD_CLIENT_CERT",
    "LATCHD_CLIENT_KEY",
    "LATCHD_LOCK_NAME",
    "LATCHD_LOCK_KEY",
    "LATCHD_FENCING_TOKEN",
    "LATCHD_FENCING_TOKENS",
];

/// The variable that sets a key: `storage.fsync` -> `LATCHD_STORAGE_FSYNC`.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// Lays the environment over what is there; plain credentials are collected beside it.
pub fn apply(layers: &mut Layers, plain: &mut PlainCredentials, env: &[(String, String)]) -> Result<(), ConfigError> {
    let variables: Vec<(String, String)> = layers.keys().map(|key| (variable(key), key.to_owned())).collect();
    for (name, text) in env.iter().filter(|(name, _)| name.starts_with(PREFIX) && !is_service_link(name)) {
        match name.as_str() {
            CONFIG | URL | CA => {}
            of_clients if OF_CLIENTS.contains(&of_clients) => {}
            PASSWORD if !text.is_empty() => plain.passwords.push(Secret::new(text)),
            API_KEY if !text.is_empty() => plain.api_keys.push(Secret::new(text)),
            PASSWORD | API_KEY => {}
            _ => match variables.iter().find(|(variable, _)| variable == name) {
                Some((_, key)) => layers.text(key, text, Source::Env(name.clone()))?,
                None => return Err(unknown(name, &variables)),
            },
        }
    }
    Ok(())
}

/// Kubernetes sets `LATCHD_SERVICE_HOST`, `LATCHD_PORT_8443_TCP` and the like in every container of a namespace that
/// has a service named `latchd`; they are no attempt to configure anything.
fn is_service_link(name: &str) -> bool {
    name == "LATCHD_PORT" || name.starts_with("LATCHD_PORT_") || name.starts_with("LATCHD_SERVICE_")
}

fn unknown(name: &str, variables: &[(String, String)]) -> ConfigError {
    let others = [CONFIG, URL, CA, PASSWORD, API_KEY];
    let names = variables.iter().map(|(variable, _)| variable.as_str()).chain(others);
    ConfigError::UnknownKey {
        source: Source::Env(name.to_owned()),
        key: name.to_owned(),
        nearest: nearest(name, names).to_owned(),
    }
}
