//! What is allowed and yet worth a warning at each start: who else can reach the service, and how.

use std::fmt;

use super::Config;
use crate::access::oidc::Rule;

/// Fewer characters than this can be guessed, given time.
const API_KEY_CHARACTERS: usize = 16;

/// What is worth a warning, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    pub what: String,
    pub advice: String,
}

impl Warning {
    pub fn new(what: impl Into<String>, advice: impl Into<String>) -> Warning {
        Warning { what: what.into(), advice: advice.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.advice)
    }
}

impl Config {
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let open = self.listen.iter().filter(|url| !url.is_loopback());
        for url in open {
            if !self.has_credentials() {
                warnings.push(Warning::new(
                    format!(
                        "anybody who reaches {url} may take and release locks, because access.allow_anonymous is set and no \
                         credential is configured"
                    ),
                    "configure a key (access.keys), or listen on 127.0.0.1 only",
                ));
            }
            if !url.scheme.is_tls() && self.has_credentials() {
                let secure = if url.scheme.is_redis() { "rediss://" } else { "https://" };
                warnings.push(Warning::new(
                    format!("credentials and lock keys travel over {url} in plain text"),
                    format!("listen on {secure}, or on a network of your own behind a proxy that has TLS"),
                ));
            }
        }
        for issuer in &self.access.oidc {
            if let Some(role) = issuer.rules.iter().find_map(Rule::of_every_token) {
                let (issuer, role) = (&issuer.issuer, role.as_str());
                warnings.push(Warning::new(
                    format!("a rule of access.oidc gives the role {role} to whoever gets any token of {issuer} for its audience"),
                    "name a claim that says whose token it is, such as repository or sub",
                ));
            }
        }
        if self.plain.api_keys.iter().any(|key| key.expose().chars().count() < API_KEY_CHARACTERS) {
            warnings.push(Warning::new(
                format!("an API key has fewer than {API_KEY_CHARACTERS} characters and can be guessed"),
                "make one with `openssl rand -hex 32`",
            ));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Inputs};

    fn warnings(text: &str, api_key: Option<&str>) -> Vec<String> {
        let mut config = Config::load(Inputs::default()).expect("the defaults");
        config.listen = text.split(' ').map(|url| crate::base::listen_url::ListenUrl::parse(url).expect(url)).collect();
        config.plain.api_keys.extend(api_key.map(super::super::Secret::new));
        config.warnings().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn loopback_listener_gives_no_warning() {
        assert_eq!(warnings("http://127.0.0.1:1 https://[::1]:1", None), Vec::<String>::new());
    }

    #[test]
    fn rule_for_every_token_of_an_issuer_is_warned_of() {
        let warned = |claims: serde_json::Value| {
            let mut config = Config::load(Inputs::default()).expect("the defaults");
            let rules = serde_json::json!([{"claims": claims, "role": "admin"}]);
            let issuer = serde_json::json!({"issuer": "https://a.example", "audience": "latchd", "rules": rules});
            config.access.oidc = vec![serde_json::from_value(issuer).expect("an issuer")];
            config.warnings().iter().any(|warning| warning.what.contains("the role admin to whoever gets any token"))
        };
        for (claims, is_open) in [
            (serde_json::json!({"sub": "*"}), true),
            (serde_json::json!({"sub": ["x", "**"]}), true),
            (serde_json::json!({"sub": "*", "repository": "own/app"}), false),
            (serde_json::json!({"sub": "repo:own/*"}), false),
        ] {
            assert_eq!(warned(claims.clone()), is_open, "{claims}");
        }
    }

    #[test]
    fn exposed_settings_are_warned_of() {
        assert!(warnings("https://0.0.0.0:1", None)[0].starts_with("anybody who reaches https://0.0.0.0:1 may take"));
        let plain = warnings("http://10.0.0.1:1", Some("0123456789abcdef"));
        assert!(plain.len() == 1 && plain[0].contains("over http://10.0.0.1:1 in plain text"), "{plain:?}");
        let redis = warnings("redis://10.0.0.1:1", Some("0123456789abcdef"));
        assert!(redis.len() == 1 && redis[0].contains("listen on rediss://"), "{redis:?}");
        let short = warnings("https://10.0.0.1:1", Some("short"));
        assert!(short.len() == 1 && short[0].contains("fewer than 16 characters"), "{short:?}");
    }
}
