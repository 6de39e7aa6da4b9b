//! The `LATCHD_*` environment.

use super::access::PlainCredentials;
use super::layers::{Layers, nearest};
use super::{ConfigError, SecretFile, Source};
use crate::base::config_value::Secret;

/// Prefix of every variable that is ours.
const PREFIX: &str = "LATCHD_";

/// Variables that are no keys of the configuration.
pub const CONFIG: &str = "LATCHD_CONFIG";
pub const URL: &str = "LATCHD_URL";
pub const CA: &str = "LATCHD_CA";
pub const PASSWORD: &str = "LATCHD_PASSWORD";
pub const API_KEY: &str = "LATCHD_API_KEY";
pub const PASSWORD_FILE: &str = "LATCHD_PASSWORD_FILE";
pub const API_KEY_FILE: &str = "LATCHD_API_KEY_FILE";

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
pub fn apply(
    layers: &mut Layers,
    plain: &mut PlainCredentials,
    files: &mut Vec<SecretFile>,
    env: &[(String, String)],
) -> Result<(), ConfigError> {
    let variables: Vec<(String, String)> = layers.keys().map(|key| (variable(key), key.to_owned())).collect();
    for (name, text) in env.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        match name.as_str() {
            CONFIG | URL | CA => {}
            of_clients if OF_CLIENTS.contains(&of_clients) => {}
            PASSWORD | API_KEY if !text.is_empty() => {
                let into = if name == PASSWORD { &mut plain.passwords } else { &mut plain.api_keys };
                into.push(Secret::new(text));
                plain.sources.push(Source::Env(name.clone()));
            }
            PASSWORD_FILE | API_KEY_FILE if !text.is_empty() => files.push(SecretFile {
                source: Source::Env(name.clone()),
                is_password: name == PASSWORD_FILE,
                path: text.into(),
            }),
            PASSWORD | API_KEY | PASSWORD_FILE | API_KEY_FILE => {}
            _ => match variables.iter().find(|(variable, _)| variable == name) {
                Some((_, key)) => layers.text(key, text, Source::Env(name.clone()))?,
                None if is_service_link(name, text) => {}
                None => return Err(unknown(name, &variables)),
            },
        }
    }
    Ok(())
}

/// Kubernetes sets `LATCHD_SERVICE_HOST`, `LATCHD_LB_PORT_8443_TCP_ADDR` and the like in every container of a namespace
/// that has a service named `latchd`, or `latchd-lb`; they are no attempt to configure anything.
fn is_service_link(name: &str, value: &str) -> bool {
    // What follows the name of the service; the name may itself hold one of these words.
    let rests = |word: &str| name.match_indices(word).map(|(at, _)| &name[at + word.len()..]).collect::<Vec<_>>();
    name.ends_with("_SERVICE_HOST")
        || rests("_SERVICE_PORT").iter().any(|rest| rest.is_empty() || rest.starts_with('_'))
        || name.ends_with("_PORT") && value.contains("://")
        || rests("_PORT_").iter().any(|rest| is_port(rest))
}

/// `8443_TCP`, `8443_TCP_ADDR`.
fn is_port(rest: &str) -> bool {
    let mut words = rest.split('_');
    let number = words.next().is_some_and(|word| word.parse::<u16>().is_ok());
    let protocol = words.next().is_some_and(|word| matches!(word, "TCP" | "UDP" | "SCTP"));
    let part = words.next().is_none_or(|word| matches!(word, "PROTO" | "PORT" | "ADDR"));
    number && protocol && part && words.next().is_none()
}

fn unknown(name: &str, variables: &[(String, String)]) -> ConfigError {
    let others = [CONFIG, URL, CA, PASSWORD, API_KEY, PASSWORD_FILE, API_KEY_FILE];
    let names = variables.iter().map(|(variable, _)| variable.as_str()).chain(others);
    ConfigError::UnknownKey {
        source: Source::Env(name.to_owned()),
        key: name.to_owned(),
        nearest: nearest(name, names).to_owned(),
    }
}
