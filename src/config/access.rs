//! `[access]`: who may use the service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use x509_cert::name::Name;

use super::error::Source;
use crate::access::oidc::IssuerSettings;
use crate::access::{ApiKey, CertificateName, CertificateRule, Role};
use crate::base::config_value::{Secret, bytes, duration, positive, positive_duration};
use crate::base::end_date::end_date;

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
    pub certificates: Vec<CertificateConfig>,
    keys_file: PathBuf,
    #[serde(deserialize_with = "bytes")]
    pub keys_file_bytes_max: u64,
    /// Pause between two looks at that file.
    #[serde(deserialize_with = "positive_duration")]
    pub reload_interval: Duration,
    #[serde(deserialize_with = "issuers")]
    pub oidc: Vec<IssuerSettings>,
    #[serde(deserialize_with = "duration")]
    pub oidc_leeway: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub oidc_lifetime_max: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub oidc_refetch_interval: Duration,
    #[serde(deserialize_with = "positive_duration")]
    pub oidc_keys_age_max: Duration,
    /// Failures per address and minute.
    #[serde(deserialize_with = "positive")]
    pub failure_limit: u32,
    #[serde(deserialize_with = "positive")]
    pub failure_addresses_max: usize,
    #[serde(deserialize_with = "positive")]
    pub password_cache_max: usize,
}

impl AccessConfig {
    /// The file with keys that come and go.
    pub fn keys_file(&self) -> Option<&Path> {
        Some(&*self.keys_file).filter(|path| !path.as_os_str().is_empty())
    }
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
    /// Seconds since 1970, by the wall clock of each node.
    #[serde(default, deserialize_with = "end_date")]
    pub expires: Option<u64>,
    /// When it was made, and words for people.
    #[serde(default, deserialize_with = "end_date")]
    pub created: Option<u64>,
    #[serde(default)]
    pub comment: String,
}

impl From<&KeyConfig> for ApiKey {
    fn from(key: &KeyConfig) -> ApiKey {
        let KeyConfig { name, sha256, role, prefixes, expires, .. } = key.clone();
        ApiKey { name, sha256, role, prefixes, expires }
    }
}

/// Whom a client's certificate makes the caller.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    pub name: String,
    /// Subject alternative names with their kinds; one of them is enough.
    #[serde(default, deserialize_with = "alternative_names")]
    pub san: Vec<CertificateName>,
    /// The whole subject, as RFC 4514 writes it, instead.
    #[serde(default)]
    pub subject: String,
    pub role: Role,
    #[serde(default)]
    pub prefixes: Vec<String>,
}

impl From<&CertificateConfig> for CertificateRule {
    fn from(certificate: &CertificateConfig) -> CertificateRule {
        let CertificateConfig { name, san: mut names, subject, role, prefixes } = certificate.clone();
        if !subject.is_empty() {
            names.push(CertificateName::Subject(subject));
        }
        CertificateRule { name, names, role, prefixes }
    }
}

impl CertificateConfig {
    /// Each entry says by what a certificate is known.
    pub fn check(all: &[CertificateConfig]) -> Result<(), String> {
        if let Some(one) = all.iter().find(|one| one.san.is_empty() == one.subject.is_empty()) {
            return Err(format!("the certificates of {:?} need either `san` or `subject`", one.name));
        }
        all.iter().filter(|one| !one.subject.is_empty()).try_for_each(CertificateConfig::check_subject)
    }

    /// Subjects are compared with what a certificate's reads like, so one that is written otherwise would open nothing.
    fn check_subject(&self) -> Result<(), String> {
        let write = match self.subject.parse::<Name>().map(|subject| subject.to_string()) {
            Ok(written) if written == self.subject => return Ok(()),
            Ok(written) => format!("{written:?}"),
            Err(_) => "it as \"CN=backup,O=Example\"".to_owned(),
        };
        let name = &self.name;
        Err(format!("no certificate has the subject of {name:?}: write {write}, as RFC 4514 does"))
    }

    /// Without authorities no client shows a certificate, and the entries would do nothing.
    pub fn check_authorities(all: &[CertificateConfig], key: &str, client_ca: Option<&Path>) -> Result<(), String> {
        match all.is_empty() || client_ca.is_some() {
            true => Ok(()),
            false => Err(format!("{key} needs tls.client_ca: the authorities of those certificates")),
        }
    }
}

fn alternative_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<CertificateName>, D::Error> {
    const EXPECTED: &str = "expected names with their kind, each compared as a whole: URI:spiffe://prod/ci, DNS:ci.example, \
                            email:ci@example or IP:10.0.0.1";
    let texts = Vec::<String>::deserialize(from).map_err(|_| de::Error::custom(EXPECTED))?;
    let parsed = |(at, text): (usize, &String)| {
        let refused = || de::Error::custom(format!("{EXPECTED}; number {} is none", at + 1));
        CertificateName::parse(text).ok_or_else(refused)
    };
    texts.iter().enumerate().map(parsed).collect()
}

/// Plain credentials from the command line or the environment; they have the admin role and are never written anywhere.
#[derive(Clone, Debug, Default)]
pub struct PlainCredentials {
    pub passwords: Vec<Secret>,
    pub api_keys: Vec<Secret>,
    /// Where each of them came from.
    pub sources: Vec<Source>,
}

/// Each has a task of its own that fetches its keys.
const ISSUERS_MAX: usize = 32;

fn issuers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IssuerSettings>, D::Error> {
    let issuers = Vec::<IssuerSettings>::deserialize(from)?;
    let is_twin = |at: usize| issuers[..at].iter().any(|other| other.issuer == issuers[at].issuer);
    if issuers.len() > ISSUERS_MAX || (1..issuers.len()).any(is_twin) {
        return Err(de::Error::custom(format!("expected at most {ISSUERS_MAX} issuers, each of them once")));
    }
    Ok(issuers)
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
