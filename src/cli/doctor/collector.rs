//! The files for the collector of traces: each start reads them, and does not succeed without them.

use super::certificates::{Pem, judge, unreadable};
use super::finding::Finding;
use crate::config::Config;
use crate::server::inspection::{
    self, COLLECTOR_CA as CA, COLLECTOR_CERT as CERT, COLLECTOR_KEY as KEY, CollectorFiles, PEM_BYTES_MAX,
    check_collector_files,
};

const HEADERS: &str = "tracing.headers_file";

pub fn check(config: &Config, now: u64) -> Vec<Finding> {
    let tracing = &config.tracing;
    if tracing.endpoint.is_empty() {
        return Vec::new();
    }
    let files = CollectorFiles { authorities: tracing.ca_file(), pair: tracing.client_pair() };
    let headers = tracing.headers_file();
    let pair = files.pair.iter().flat_map(|(cert, key)| [(CERT, cert), (KEY, key)]);
    let all = headers.iter().map(|file| (HEADERS, file)).chain(files.authorities.iter().map(|ca| (CA, ca))).chain(pair);
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for (key, path) in all {
        match inspection::read_named_file(path, PEM_BYTES_MAX) {
            Ok(text) => read.push((key, text)),
            Err(error) => unread.push(unreadable(key, path, &error)),
        }
    }
    if !unread.is_empty() {
        return unread;
    }
    read.retain(|(key, _)| [CA, CERT].contains(key));
    of_headers(config).into_iter().chain(of_certificates(&files, read, now)).collect()
}

fn of_headers(config: &Config) -> Option<Finding> {
    let why = config.tracing.headers().err()?.to_string();
    let why = why.strip_prefix(HEADERS).map_or(&*why, |rest| rest.trim_start_matches(": "));
    Some(Finding::error(HEADERS, why, "write lines `name: value` into it, for the user of the service alone"))
}

/// Whether they go together, and when those that were read end.
fn of_certificates(files: &CollectorFiles, read: Vec<Pem>, now: u64) -> Vec<Finding> {
    match check_collector_files(files) {
        Ok(()) => read.into_iter().flat_map(|(key, pem)| judge(key, key, inspection::described(&pem), now)).collect(),
        Err(bad) => {
            let advice = "replace the file: certificate and key are PEM and belong together";
            vec![Finding::error(bad.config_key, bad.why, advice)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use crate::config::Inputs;
    use std::path::Path;

    fn found(variables: &[(&str, &Path)]) -> Vec<(Level, String, String)> {
        let variable = |name: &str, value: &Path| (format!("LATCHD_TRACING_{name}"), value.display().to_string());
        let endpoint = variable("ENDPOINT", Path::new("https://127.0.0.1:4317"));
        let env = std::iter::once(endpoint).chain(variables.iter().map(|(name, path)| variable(name, path)));
        let config = Config::read(Inputs { env: env.collect(), ..Inputs::default() }).expect("a configuration");
        let found = check(&config, inspection::unix_time().as_secs());
        found.into_iter().map(|one| (one.level, one.check, one.finding)).collect()
    }

    #[test]
    fn files_that_a_start_would_refuse_are_errors_and_sound_ones_tell_their_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let (one, other) = (made(), made());
        let (cert, key) = (file("cert", &one.cert.pem()), file("key", &one.signing_key.serialize_pem()));
        let (foreign, headers) = (file("other", &other.signing_key.serialize_pem()), file("headers", "no header"));
        assert_eq!(found(&[]), [], "nothing is named");
        let good = found(&[("CA_FILE", &cert), ("CLIENT_CERT_FILE", &cert), ("CLIENT_KEY_FILE", &key)]);
        let valid = |check: &str| good.iter().any(|one| one.1 == check && one.2.contains("valid until"));
        assert!(valid(CA) && valid(CERT) && good.iter().all(|one| one.0 == Level::Ok), "{good:?}");
        let none = Path::new("/missing");
        for (files, check, what) in [
            (vec![("CA_FILE", none)], CA, "/missing cannot be read"),
            (vec![("CA_FILE", &*key)], CA, "no PEM certificate"),
            (vec![("CLIENT_CERT_FILE", &*cert), ("CLIENT_KEY_FILE", none)], KEY, "/missing cannot be read"),
            (vec![("CLIENT_CERT_FILE", &*cert), ("CLIENT_KEY_FILE", &*foreign)], CERT, "does not go with the key"),
            (vec![("HEADERS_FILE", none)], HEADERS, "/missing cannot be read"),
            (vec![("HEADERS_FILE", &*headers)], HEADERS, "`name: value`"),
        ] {
            let bad = found(&files);
            let [(level, key, told)] = &bad[..] else { panic!("one finding: {bad:?}") };
            assert!((*level, &**key) == (Level::Error, check) && told.contains(what), "{bad:?}");
        }
    }
}
