//! An issuer as configured, checked as it is read.

use super::key_set;
use super::rule::Rule;
use jsonwebtoken::Algorithm;
use reqwest::Url;
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// One issuer of identity tokens.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// As it stands in the tokens (`iss`).
    #[serde(deserialize_with = "url")]
    pub issuer: String,
    /// A token must be for one of these (`aud`).
    #[serde(deserialize_with = "one_or_several")]
    pub audience: Vec<String>,
    /// Where its keys are, if its discovery document is not to be asked.
    #[serde(default, deserialize_with = "some_url")]
    pub jwks_url: Option<String>,
    /// The authorities of its TLS certificate, in PEM, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// A token that this server shows to the issuer when it fetches the keys.
    pub token_file: Option<PathBuf>,
    #[serde(default = "key_set::algorithms", deserialize_with = "algorithms")]
    pub algorithms: Vec<Algorithm>,
    #[serde(deserialize_with = "rules")]
    pub rules: Vec<Rule>,
}

/// Bounds for the tokens of all issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimits {
    /// How far the clocks of an issuer and of this server may differ.
    pub leeway: Duration,
    /// How long a token may be valid.
    pub lifetime_max: Duration,
    /// How long after the last fetch an unknown key is worth another.
    pub refetch_interval: Duration,
    /// Wrong signatures of one address in a minute; after that, one token a second is verified.
    pub failures_per_minute: u32,
    /// Addresses whose wrong signatures are remembered.
    pub addresses_max: usize,
}

const RULES_MAX: usize = 256;

const URL: &str = "expected an https URL without user, query and fragment (http only for this machine itself)";

fn url<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if is_fit_to_fetch(&text) { Ok(text) } else { Err(de::Error::custom(URL)) }
}

fn some_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    url(from).map(Some)
}

/// Whether keys may be fetched from there: nobody else can answer instead.
pub fn is_fit_to_fetch(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_plain = url.query().is_none() && url.fragment().is_none();
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    is_safe && is_plain && !host.is_empty() && url.username().is_empty() && url.password().is_none()
}

fn one_or_several<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Several(Vec<String>),
    }
    let expected = || de::Error::custom("expected the audience of the tokens, or a list of audiences");
    let texts = match Texts::deserialize(from).map_err(|_| expected())? {
        Texts::One(text) => vec![text],
        Texts::Several(texts) => texts,
    };
    if texts.is_empty() || texts.iter().any(String::is_empty) { Err(expected()) } else { Ok(texts) }
}

fn algorithms<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Algorithm>, D::Error> {
    let names = || key_set::algorithms().iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ");
    let expected = || de::Error::custom(format!("expected a list of some of {}", names()));
    let chosen = Vec::<Algorithm>::deserialize(from).map_err(|_| expected())?;
    let are_known = chosen.iter().all(|one| key_set::algorithms().contains(one));
    if are_known && !chosen.is_empty() { Ok(chosen) } else { Err(expected()) }
}

fn rules<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Rule>, D::Error> {
    let rules = Vec::<Rule>::deserialize(from)?;
    if (1..=RULES_MAX).contains(&rules.len()) {
        return Ok(rules);
    }
    Err(de::Error::custom(format!("expected 1 to {RULES_MAX} rules: without one, no token opens anything")))
}

#[cfg(test)]
mod tests {
    use super::is_fit_to_fetch;

    #[test]
    fn keys_come_from_https_or_this_machine() {
        for (text, expected) in [
            ("https://token.actions.githubusercontent.com", true),
            ("https://gitlab.example/group/", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080/realm", true),
            ("http://localhost", true),
            ("http://issuer.example", false),
            ("http://localhost.example", false),
            ("https://user@issuer.example", false),
            ("https://issuer.example?x", false),
            ("https://issuer.example#x", false),
            ("ftp://issuer.example", false),
            ("file:///etc/passwd", false),
            ("issuer.example", false),
            ("", false),
        ] {
            assert_eq!(is_fit_to_fetch(text), expected, "{text}");
        }
    }
}
