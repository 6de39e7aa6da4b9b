//! Which credentials are in force at a start: how many from where, and never what they are. A key that a shell has exported for
//! its clients becomes one of the server, too.

use crate::config::Config;
use crate::config::keys_file::KeysFile;
use std::collections::BTreeMap;

/// For the log; `keys_read` is what the file of keys holds.
pub fn credentials(config: &Config, keys_read: &[u8]) -> String {
    let access = &config.access;
    let in_file = KeysFile::parse(keys_read).map_or((0, 0), |file| (file.keys.len(), file.certificates.len()));
    let configured = [
        (access.keys.len(), "access.keys"),
        (in_file.0, "access.keys_file"),
        (access.passwords.len(), "access.passwords"),
        (access.certificates.len(), "access.certificates"),
        (in_file.1, "the certificates of access.keys_file"),
        (access.oidc.len(), "access.oidc"),
    ];
    let configured = configured.into_iter().filter(|(count, _)| *count > 0);
    let mut told: Vec<String> = configured.map(|(count, key)| format!("{count} of {key}")).collect();
    let mut plain = BTreeMap::<String, usize>::new();
    config.plain.sources.iter().for_each(|source| *plain.entry(source.to_string()).or_default() += 1);
    told.extend(plain.into_iter().map(|(source, count)| format!("{count} of the {source}, with the admin role")));
    match told.is_empty() {
        true => "no credential is in force".to_owned(),
        false => format!("credentials in force: {}", told.join("; ")),
    }
}
