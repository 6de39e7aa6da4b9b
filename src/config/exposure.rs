//! What is allowed and yet worth a warning at each start: who else can reach the service, and how.

use super::Config;

/// Fewer characters than this can be guessed, given time.
const API_KEY_CHARACTERS: usize = 16;

impl Config {
    /// A sentence for each, with what to do.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let open = self.listen.iter().filter(|url| !url.is_loopback());
        for url in open {
            if !self.has_credentials() {
                warnings.push(format!(
                    "anybody who reaches {url} may take and release locks, because access.allow_anonymous is set and no \
                     credential is configured"
                ));
            }
            if !url.scheme.is_tls() && self.has_credentials() {
                let secure = if url.scheme.is_redis() { "rediss://" } else { "https://" };
                warnings.push(format!(
                    "credentials and lock keys travel over {url} in plain text: listen on {secure}, or on a network of \
                     your own behind a proxy that has TLS"
                ));
            }
        }
        if self.plain.api_keys.iter().any(|key| key.expose().chars().count() < API_KEY_CHARACTERS) {
            warnings.push(format!(
                "an API key has fewer than {API_KEY_CHARACTERS} characters and can be guessed: make one with `openssl rand \
                 -hex 32`"
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
        config.warnings()
    }

    #[test]
    fn loopback_listener_gives_no_warning() {
        assert_eq!(warnings("http://127.0.0.1:1 https://[::1]:1", None), Vec::<String>::new());
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
