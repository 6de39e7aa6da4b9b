//! `[access]`: who may use the service.

use serde::Deserialize;
use serde::de::{self, Deserializer};

use crate::access::Role;
use crate::base::config_value::{Secret, positive};

/// Configured credentials, as hashes, and the limits on failed attempts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessConfig {
    /// Listen beyond loopback without any credential.
    pub allow_anonymous: bool,
    /// argon2id PHC strings.
    #[serde(deserialize_with = "passwords")]
    pub passwords: Vec<Secret>,
    pub keys: Vec<KeyConfig>,
    /// Failures per address and minute.
    #[serde(deserialize_with = "positive")]
    pub failure_limit: u32,
    #[serde(deserialize_with = "positive")]
    pub failure_addresses_max: usize,
    #[serde(deserialize_with = "positive")]
    pub password_cache_max: usize,
}

/// One API key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    pub name: String,
    /// SHA-256 of the key, 64 hex digits.
    #[serde(deserialize_with = "sha256")]
    pub sha256: [u8; 32],
    pub role: Role,
    /// Lock names this key may touch begin with one of these; empty: all.
    #[serde(default)]
    pub prefixes: Vec<String>,
}

/// Plain credentials from the command line or the environment; they have the admin role and are never written anywhere.
#[derive(Clone, Debug, Default)]
pub struct PlainCredentials {
    pub passwords: Vec<Secret>,
    pub api_keys: Vec<Secret>,
}

fn passwords<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Secret>, D::Error> {
    const EXPECTED: &str = "expected argon2id PHC strings ($argon2id$v=19$...); `latchd hash password` makes them";
    let texts = Vec::<String>::deserialize(from).map_err(|_| de::Error::custom(EXPECTED))?;
    let is_phc = |text: &String| text.starts_with("$argon2id$") && argon2::PasswordHash::new(text).is_ok();
    if !texts.iter().all(is_phc) {
        return Err(de::Error::custom(EXPECTED));
    }
    Ok(texts.into_iter().map(Secret::new).collect())
}

fn sha256<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
    let expected = || de::Error::custom("expected 64 hex digits; `latchd hash key` makes them");
    let text = String::deserialize(from).map_err(|_| expected())?;
    parse_sha256(&text).ok_or_else(expected)
}

fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let is_hex = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let half = |text: &str| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes);
    is_hex.then(|| [half(&text[..32])?, half(&text[32..])?].concat().try_into().ok())?
}
