//! API keys with an end: those that have ended, and those that end soon. Only their names are shown.

use super::finding::Finding;
use crate::config::Config;
use crate::config::access::KeyConfig;
use crate::config::keys_file::{self, KeysFile};
use crate::server::inspection;

const SOON_SECONDS: u64 = 30 * 86_400;

/// The keys of the configuration and of its keys file.
pub fn check(config: &Config, now: u64) -> Vec<Finding> {
    let mut findings = ends("access.keys", &config.access.keys, now);
    let Some(file) = config.access.keys_file() else { return findings };
    let check = "access.keys_file";
    let read = keys_file::read(file, config.access.keys_file_bytes_max)
        .and_then(|text| KeysFile::parse_for(&text, config.tls.client_ca()));
    match read {
        Ok(read) => {
            let found = ends(check, &read.keys, now);
            let (count, keys) = (read.keys.len(), if read.keys.len() == 1 { "key" } else { "keys" });
            findings.push(Finding::ok(check, format!("{} has {count} {keys}", file.display())));
            findings.extend(found);
        }
        Err(reason) => findings.push(Finding::error(
            check,
            format!("{} cannot be used: {reason}", file.display()),
            "correct it, or run this as the user of the service; a server that runs keeps the keys that it read last",
        )),
    }
    findings
}

fn ends(check: &str, keys: &[KeyConfig], now: u64) -> Vec<Finding> {
    let ending = keys.iter().filter_map(|key| Some((key, key.expires.filter(|end| *end < now + SOON_SECONDS)?)));
    let finding = |(key, end): (&KeyConfig, u64)| {
        let how = if end <= now { "has ended" } else { "ends soon" };
        let what = format!("the key {:?} {how} ({})", key.name, inspection::rfc3339(end));
        Finding::warn(check, what, "make another with `latchd keys new`, or take it out")
    };
    ending.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Inputs;

    #[test]
    fn ended_key_and_ending_key_are_named_and_others_are_not() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let entry =
            |name: &str, end: &str| format!("{{ name = \"{name}\", sha256 = \"{digest}\", role = \"client\"{end} }}");
        let keys = [entry("old", ", expires = 2027-01-31"), entry("new", ", expires = 2027-03-31"), entry("ever", "")];
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("keys.toml");
        std::fs::write(&file, format!("keys = [{}]", keys.join(", "))).expect("written");
        let env = vec![("LATCHD_ACCESS_KEYS_FILE".to_owned(), file.display().to_string())];
        let config = Config::read(Inputs { env, ..Inputs::default() }).expect("a configuration");
        // 2027-03-15
        let found = check(&config, 1_805_068_800);
        let all = format!("{found:?}");
        assert!(
            found.len() == 3 && all.contains("\\\"old\\\" has ended") && all.contains("\\\"new\\\" ends soon"),
            "{all}"
        );
        assert!(!all.contains("ba7816"), "{all}");
        std::fs::write(&file, "keys").expect("written");
        assert!(check(&config, 0)[0].finding.contains("cannot be used"));
        let certificates = "keys = []\n[[certificates]]\nname = \"ci\"\nsan = [\"DNS:ci\"]\nrole = \"client\"\n";
        std::fs::write(&file, certificates).expect("written");
        assert!(check(&config, 0)[0].finding.contains("tls.client_ca"));
    }
}
