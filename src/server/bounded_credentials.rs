//! Rates and quotas of credentials that there are not: told at a start, and when keys were read again.

use std::collections::BTreeMap;

use crate::access::Access;
use crate::config::Config;

/// So many names stand in one line.
const NAMED_MAX: usize = 10;

/// The names of the credentials that have a rate or a quota, by the configuration key.
pub struct BoundedCredentials(BTreeMap<&'static str, Vec<String>>);

impl BoundedCredentials {
    pub fn of(config: &Config) -> BoundedCredentials {
        let mut names = BTreeMap::<&str, Vec<String>>::new();
        for (key, name) in config.quotas.bounded_credentials() {
            names.entry(key).or_default().push(name.to_owned());
        }
        BoundedCredentials(names)
    }

    /// Warns of those that no caller has.
    pub fn warn(&self, access: &Access) {
        self.warnings(access).for_each(|line| tracing::warn!("{line}"));
    }

    fn warnings(&self, access: &Access) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|(key, names)| {
            let unknown = access.names_of_nobody(names.iter().map(String::as_str));
            (!unknown.is_empty()).then(|| warning(key, &unknown))
        })
    }
}

fn warning(key: &str, unknown: &[&str]) -> String {
    let mut named = unknown.iter().take(NAMED_MAX).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if unknown.len() > NAMED_MAX {
        named.push_str(&format!(" and {} more", unknown.len() - NAMED_MAX));
    }
    format!(
        "{key}: no credential is named {named}, so this bounds nobody: correct the name, or make a key of that name"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{ApiKey, Rate, Role, Subject};
    use crate::config::Inputs;
    use crate::server::compose;
    use std::num::NonZeroU32;

    #[test]
    fn rate_of_a_credential_that_nobody_has_is_told_until_there_is_one() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("keys.toml").display().to_string();
        let env = vec![("LATCHD_ACCESS_KEYS_FILE".to_owned(), file), ("LATCHD_PASSWORD".to_owned(), "x".to_owned())];
        let mut config = Config::load(Inputs { env, ..Inputs::default() }).expect("a configuration");
        let one = NonZeroU32::MIN;
        let rate =
            |name: &str| Rate { subject: Subject::Credential(name.to_owned()), requests_per_second: one, burst: one };
        config.quotas.rates = ["ci", "command-line-password-1", "anonymous", "oidc:x"].map(rate).to_vec();
        config.quotas.rates.push(Rate { subject: Subject::EachCredential, ..rate("") });
        let (access, bounded) = (compose::access(&config).expect("sound"), BoundedCredentials::of(&config));
        let told = || bounded.warnings(&access).collect::<Vec<_>>();
        let [line] = &told()[..] else { panic!("one line") };
        assert!(line.contains("quotas.rates: no credential is named \"ci\", \"anonymous\", \"oidc:x\", so"), "{line}");
        let key =
            ApiKey { name: "ci".to_owned(), sha256: [7; 32], role: Role::Client, prefixes: vec![], expires: None };
        access.reload(vec![key], Vec::new()).expect("sound");
        assert!(told()[0].contains("is named \"anonymous\", \"oidc:x\", so"));
        let many: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        let many = warning("quotas.limits", &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(many.contains("\"9\" and 2 more, so"), "{many}");
    }
}
