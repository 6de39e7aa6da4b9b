//! `latchd doctor` beside a running server, on a broken configuration, and from another machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::Value;

use super::lock::job::{Ended, latchd, run, url};
use crate::support::certificate::pair;
use crate::support::process::Server;
use crate::support::spec::Spec;

pub fn doctor(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = latchd("");
    command.env_remove("LATCHD_URL").arg("doctor").args(arguments);
    command.envs(environment.iter().copied());
    run(command)
}

/// `level check: finding` of each.
pub fn findings(ended: &Ended) -> Vec<String> {
    let document: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}{}", ended.stdout, ended.stderr));
    let list = document["findings"].as_array().expect("a list").clone();
    let text = |finding: &Value, field: &str| finding[field].as_str().expect("a text").to_owned();
    for finding in list.iter().filter(|finding| finding["level"] != "ok") {
        assert!(finding["advice"].as_str().is_some_and(|advice| advice.len() > 5), "no advice: {finding}");
    }
    list.iter().map(|one| ["level", "check", "finding"].map(|field| text(one, field)).join(" ")).collect()
}

/// A file with the configuration that `server` seems to have, with copies of its certificate and key.
fn configuration(folder: &Path, data: &Path, server: &Server) -> PathBuf {
    std::fs::copy(&pair().certificate, folder.join("cert.pem")).expect("copied");
    std::fs::copy(&pair().key, folder.join("key.pem")).expect("copied");
    std::fs::set_permissions(folder.join("key.pem"), PermissionsExt::from_mode(0o600)).expect("a mode");
    let file = folder.join("latchd.toml");
    let (place, data) = (folder.display(), data.display());
    let (https, http) = (server.https(), server.http());
    let text = format!(
        "listen = ['https://{https}', 'http://{http}']\ndata_dir = '{data}'\n[tls]\ncert = '{place}/cert.pem'\nkey = \
         '{place}/key.pem'\n[server]\nconnections_max = 100\n[storage]\nmin_free_bytes = '1MiB'\n"
    );
    std::fs::write(&file, text).expect("written");
    file
}

fn expired(folder: &Path) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("names");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
    let key = KeyPair::generate().expect("a key");
    std::fs::write(folder.join("cert.pem"), params.self_signed(&key).expect("signed").pem()).expect("written");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("written");
}

#[track_caller]
pub fn assert_found(findings: &[String], parts: &[&str]) {
    for part in parts {
        assert!(findings.iter().any(|finding| finding.contains(part)), "{part} in {findings:#?}");
    }
}

#[test]
fn doctor_beside_a_server_finds_nothing_until_something_is_broken() {
    let (folder, data) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let data = data.path().join("data");
    let server = Spec::durable(&data).start();
    let file = configuration(folder.path(), &data, &server);
    let arguments = ["--config", file.to_str().expect("UTF-8"), "--output", "json"];
    let healthy = doctor(&arguments, &[]);
    let found = findings(&healthy);
    assert_eq!(healthy.code, Some(0), "{found:#?}");
    let uses = format!("ok data_dir process {} uses", server.pid());
    assert_found(
        &found,
        &[
            "ok configuration",
            "ok tls.cert valid until",
            &uses,
            "ready it is ready",
            "it is the one in the configured file",
            "ok versions",
            "ok clocks",
            "ok members",
            &format!("ok server.connections_max process {}", server.pid()),
        ],
    );
    assert!(!found.iter().any(|finding| finding.starts_with("error") || finding.starts_with("unknown")), "{found:#?}");
    std::fs::set_permissions(&data, PermissionsExt::from_mode(0o755)).expect("a mode");
    std::fs::set_permissions(folder.path().join("key.pem"), PermissionsExt::from_mode(0o644)).expect("a mode");
    let open = doctor(&[&arguments[..], &["--strict"]].concat(), &[]);
    assert_eq!(open.code, Some(1));
    assert_found(&findings(&open), &["warn data_dir other users can enter", "warn tls.key others can read the key"]);
    expired(folder.path());
    let broken = doctor(&arguments, &[]);
    assert_eq!(broken.code, Some(1));
    assert_found(
        &findings(&broken),
        &[
            "error tls.cert the certificate",
            "has expired (2020-02-01",
            "it is another one than in the configured file",
            "ready it is ready",
        ],
    );
    std::fs::copy(&pair().key, folder.path().join("key.pem")).expect("copied");
    assert_found(&findings(&doctor(&arguments, &[])), &["error tls.cert", "does not go with the key"]);
    let from_elsewhere = doctor(&["--url", &url(&server), "--output", "json"], &[]);
    let found = findings(&from_elsewhere);
    assert!(!found.iter().any(|finding| finding.contains("data_dir") || finding.contains("tls.cert ")), "{found:#?}");
    assert_found(&found, &["ready it is ready", "ok versions"]);
}

#[test]
fn broken_configuration_and_silent_server_are_errors_without_secrets() {
    let nowhere = [("LATCHD_LISTEN", "http://127.0.0.1:1"), ("LATCHD_IN_MEMORY", "true"), ("LATCHD_API_KEY", "sekret")];
    let silent = doctor(&["--output", "json"], &nowhere);
    let found = findings(&silent);
    assert_eq!(silent.code, Some(1), "{found:#?}");
    assert_found(
        &found,
        &["warn configuration an API key has fewer than", "error http://127.0.0.1:1 ready", "refused"],
    );
    assert!(!format!("{}{}", silent.stdout, silent.stderr).contains("sekret"));
    let unmade = doctor(
        &["--output", "json"],
        &[("LATCHD_DATA_DIR", "/proc/none/data"), ("LATCHD_LISTEN", "http://127.0.0.1:1")],
    );
    assert_found(&findings(&unmade), &["error data_dir /proc/none/data does not exist, and cannot be made in /proc"]);
    let missing = [("LATCHD_TLS_CERT", &*pair().certificate), ("LATCHD_TLS_KEY", Path::new("/none.key"))]
        .map(|(name, path)| (name, path.to_str().expect("UTF-8")));
    assert_found(
        &findings(&doctor(&["--output", "json"], &[&missing[..], &[("LATCHD_IN_MEMORY", "true")]].concat())),
        &["error tls.key /none.key cannot be read"],
    );
    let table = doctor(&[], &[("LATCHD_LISTEN", "https://0.0.0.0:1"), ("LATCHD_IN_MEMORY", "true")]);
    assert_eq!(table.code, Some(1));
    assert!(
        table.stdout.contains("error    configuration: listen = https://0.0.0.0:1 is reachable"),
        "{}",
        table.stdout
    );
    assert!(table.stdout.contains("\n           -> correct it"), "{}", table.stdout);
    let unreadable = doctor(&["--config", "/nonexistent"], &[]);
    assert!(
        unreadable.code == Some(1)
            && unreadable.stdout.contains("/nonexistent: cannot be read")
            && unreadable.stdout.contains("it was not asked"),
        "{}",
        unreadable.stdout
    );
}
