//! `config.toml`: complete, commented, and in step with the structs.

use std::collections::BTreeSet;
use std::time::Duration;

use latchd::config::env::variable;
use latchd::config::{Config, DEFAULTS};

fn keys() -> Vec<String> {
    let document: toml::Table = DEFAULTS.parse().expect("TOML");
    let mut keys = Vec::new();
    for (name, value) in &document {
        match value.as_table() {
            Some(section) => keys.extend(section.keys().map(|key| format!("{name}.{key}"))),
            None => keys.push(name.clone()),
        }
    }
    keys
}

#[test]
fn config_document_and_fields_match() {
    // The structs deny unknown fields and have no serde defaults, so reading the document alone shows both.
    let config = Config::default();
    assert_eq!(config.sessions.idle_timeout, Duration::from_secs(600));
    assert_eq!(config.storage.snapshot_log_bytes, 8 << 20);
    assert_eq!(config.locks.max_hold(), None);
    assert_eq!((config.terraform.max_hold(), config.terraform.force_unlock), (None, false));
    assert_eq!(config.listen[0].to_string(), "https://127.0.0.1:8443");
}

#[test]
fn every_config_key_has_its_own_comment() {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    let mut commented = 0;
    for (index, line) in lines.iter().enumerate() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(lines[index - 1].starts_with("# "), "no comment above: {line}");
            commented += 1;
        }
    }
    assert_eq!(commented, keys().len());
}

#[test]
fn every_config_key_has_its_own_variable() {
    let variables: BTreeSet<String> = keys().iter().map(|key| variable(key)).collect();
    assert_eq!(variables.len(), keys().len());
    assert!(variables.contains("LATCHD_STORAGE_FSYNC") && variables.contains("LATCHD_DATA_DIR"));
}
