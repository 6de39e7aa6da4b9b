//! Private keys that others can read, API keys that they can change, and a development pair where it is not enough: logged at each start.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::config::{Config, Warning};

/// Read by the group or by all.
const READ_BY_OTHERS: u32 = 0o044;

/// Written by the group, or read or written by all.
const CHANGED_OR_READ_BY_OTHERS: u32 = 0o026;

/// Tells of all that is wrong.
pub fn warn(config: &Config) {
    for line in found(config, rustix::process::geteuid().as_raw()) {
        tracing::warn!("{line}");
    }
}

/// All that is wrong, for a server that runs as this user.
pub fn found(config: &Config, own_user: u32) -> Vec<Warning> {
    let wants_tls = config.listen.iter().any(|url| url.scheme.is_tls());
    let served = config.tls.pair().filter(|_| wants_tls).map(|(_, key)| ("tls.key", key));
    let of_nodes = config.cluster.tls().map(|_| ("cluster.peer_key", &*config.cluster.peer_key));
    let keys = served.into_iter().chain(of_nodes);
    let mut lines: Vec<Warning> = keys.filter_map(|(setting, key)| open_to_others(setting, key)).collect();
    lines.extend(config.access.keys_file().and_then(of_api_keys));
    if wants_tls && config.tls.pair().is_none() {
        lines.extend(of_development(config, own_user));
    }
    lines
}

fn open_to_others(setting: &str, key: &Path) -> Option<Warning> {
    let mode = key.metadata().ok()?.mode();
    let path = key.display();
    let what = format!("{setting}: others can read the key {path} (mode {:03o})", mode & 0o777);
    (mode & READ_BY_OTHERS != 0).then(|| Warning::new(what, format!("chmod 600 {path}")))
}

/// Who writes it makes admins; who reads it may guess keys that are short.
fn of_api_keys(file: &Path) -> Option<Warning> {
    let mode = file.metadata().ok()?.mode();
    let path = file.display();
    let what = format!(
        "access.keys_file: others can read or write {path} (mode {:03o}), which decides who is let in",
        mode & 0o777
    );
    (mode & CHANGED_OR_READ_BY_OTHERS != 0).then(|| Warning::new(what, format!("chmod 640 {path}")))
}

fn of_development(config: &Config, own_user: u32) -> Vec<Warning> {
    let directory = &config.tls.dev_dir;
    let (cert, key) = super::dev_pair::files(directory);
    let mut lines: Vec<Warning> = open_to_others("tls.dev_dir", &key).into_iter().collect();
    let is_of_another = |file: &&Path| file.metadata().is_ok_and(|found: Metadata| found.uid() != own_user);
    if let Some(file) = [directory.as_path(), &cert, &key].into_iter().find(is_of_another) {
        let file = file.display();
        lines.push(Warning::new(
            format!("tls.dev_dir: {file} belongs to another user, who can exchange the certificate and its key"),
            "set tls.dev_dir to a directory of the user that latchd runs as",
        ));
    }
    if let Some(url) = config.listen.iter().find(|url| url.scheme.is_tls() && !url.is_loopback()) {
        lines.push(Warning::new(
            format!(
                "tls.cert, tls.key: {url} is reached from other machines with the development certificate, which nobody \
                 there can tell from an attacker's"
            ),
            "set a certificate of an authority",
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, ListenUrl};
    use std::os::unix::fs::PermissionsExt;

    fn config(directory: &Path, listen: &str) -> Config {
        let mut config = Config::read(Inputs::default()).expect("the defaults");
        config.listen = vec![ListenUrl::parse(listen).expect("a URL")];
        config.tls.dev_dir = directory.to_owned();
        config
    }

    #[test]
    fn file_of_api_keys_warns_when_others_can_write_or_read_it() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("keys.toml");
        std::fs::write(&file, "keys = []").expect("written");
        for (mode, is_open) in [(0o600, false), (0o640, false), (0o660, true), (0o644, true), (0o602, true)] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("a mode");
            assert_eq!(of_api_keys(&file).is_some(), is_open, "{mode:o}");
        }
    }

    #[test]
    fn development_pair_warns_when_exposed_foreign_or_reachable() {
        let home = tempfile::tempdir().expect("a directory");
        let (cert, key) = super::super::dev_pair::files(home.path());
        std::fs::write(&cert, "").and_then(|()| std::fs::write(&key, "")).expect("written");
        let mode = |mode| std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).expect("a mode");
        let own = std::fs::metadata(&key).expect("there").uid();
        let told = |listen, user| -> Vec<String> {
            found(&config(home.path(), listen), user).iter().map(ToString::to_string).collect()
        };
        mode(0o600);
        assert_eq!(told("https://127.0.0.1:1", own), Vec::<String>::new());
        assert_eq!(told("http://127.0.0.1:1", own + 1), Vec::<String>::new(), "not used");
        let [foreign] = &told("https://127.0.0.1:1", own + 1)[..] else { panic!("one line") };
        assert!(foreign.contains("belongs to another user"), "{foreign}");
        let [reached] = &told("https://0.0.0.0:1", own)[..] else { panic!("one line") };
        assert!(reached.contains("reached from other machines"), "{reached}");
        for open in [0o640, 0o604] {
            mode(open);
            let [readable] = &told("https://127.0.0.1:1", own)[..] else { panic!("one line") };
            assert!(readable.contains("others can read the key") && readable.contains("chmod 600"), "{readable}");
        }
    }
}
