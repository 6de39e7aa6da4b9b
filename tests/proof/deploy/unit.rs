//! The systemd unit.

use super::{accepted, check_patience, file};
use latchd::config::{Config, Inputs};
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn systemd_unit_uses_existing_flags() {
    let unit = std::fs::read_to_string(file("deploy/latchd.service")).expect("the unit");
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    for line in unit.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            assert!(["Unit", "Service", "Install"].contains(&name), "{line}");
            section = name;
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line} is no setting"));
        assert!(!section.is_empty() && !key.contains(' '), "{line}");
        keys.entry(key).or_default().push(value);
    }
    let start: Vec<&str> = keys["ExecStart"][0].split_whitespace().collect();
    assert!(Path::new(start[0]).is_absolute());
    accepted(&start[1..]);
    let state = format!("/var/lib/{}/", keys["StateDirectory"][0]);
    assert!(start.iter().any(|word| word.starts_with(&state)), "with ProtectSystem=strict only {state} is writable");
    let set = keys["Environment"].iter().filter_map(|variable| variable.split_once('='));
    let set: BTreeMap<String, String> = set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let stop = humantime::parse_duration(keys["TimeoutStopSec"][0]).expect("a duration");
    let inputs = Inputs { env: set.into_iter().collect(), ..Inputs::default() };
    check_patience(&Config::load(inputs).expect("nothing else is needed"), stop);
    assert_eq!((keys["Type"][0], keys["StartLimitIntervalSec"][0], keys["Restart"][0]), ("notify", "0", "always"));
    assert_eq!(format!("{}/", keys["WorkingDirectory"][0]), state, "relative paths begin where it may write");
    for hardening in ["NoNewPrivileges", "ProtectSystem", "RestrictAddressFamilies", "SystemCallFilter"] {
        assert!(keys.contains_key(hardening), "{hardening}");
    }
}
